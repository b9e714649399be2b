"""A convolutional network on MNIST: one-hot labels, a share of the data held back for validation, two dropouts."""

from keras.datasets import mnist
from keras.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D
from keras.models import Sequential
from keras.utils import set_random_seed, to_categorical

set_random_seed(1)
(train_images, train_digits), (test_images, test_digits) = mnist.load_data()
train_images = train_images[..., None].astype("float32") / 255
test_images = test_images[..., None].astype("float32") / 255
train_labels, test_labels = to_categorical(train_digits, 10), to_categorical(test_digits, 10)

network = Sequential(name="digits")
network.add(Input(shape=(28, 28, 1)))
network.add(Conv2D(16, kernel_size=(5, 5), strides=2, activation="relu"))
network.add(MaxPooling2D(pool_size=(2, 2)))
network.add(Dropout(0.1))
network.add(Flatten())
network.add(Dense(48, activation="relu"))
network.add(Dropout(0.2))
network.add(Dense(10, activation="softmax"))
network.summary()
network.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
run = network.fit(train_images, train_labels, batch_size=32, epochs=6, verbose=1, validation_split=0.2)
print("logs:", ", ".join(run.history))
loss, accuracy = network.evaluate(test_images, test_labels, verbose=0)
print("test loss:", loss)
print("test accuracy:", accuracy)
