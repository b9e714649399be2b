"""A convolutional network that enlarges its pictures first, trained with Adadelta and checked on other data."""

import keras
from keras import layers
from keras.models import Sequential

(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train, x_test = x_train[:200].astype("float32") / 255, x_test[:100].astype("float32") / 255
targets = keras.utils.to_categorical(y_train[:200], 10)
checks = keras.utils.to_categorical(y_test[:100], 10)

model = Sequential()
model.add(layers.Input(x_train.shape[1:]))
model.add(layers.Resizing(40, 44))
for filters in (8, 12):
    model.add(layers.Conv2D(filters, kernel_size=(3, 3), activation="relu"))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
model.add(layers.Flatten())
model.add(layers.Dense(10, activation="softmax"))
model.compile(
    loss=keras.losses.categorical_crossentropy,
    optimizer=keras.optimizers.Adadelta(learning_rate=1.0),
    metrics=["accuracy"],
)
model.fit(x_train, targets, batch_size=32, epochs=2, verbose=2, validation_data=(x_test, checks))
print("resized to", model.layers[0].output.shape)
print(model.evaluate(x_test, checks, verbose=0))
