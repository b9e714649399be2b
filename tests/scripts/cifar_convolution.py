"""Colour images in ten classes: two rounds of convolution and pooling, then dense layers."""

import keras
from keras.datasets import cifar10
from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

keras.utils.set_random_seed(4)
(images, classes), (test_images, test_classes) = cifar10.load_data()
images, test_images = images / 255.0, test_images / 255.0
classes = keras.utils.to_categorical(classes, num_classes=10)
test_classes = keras.utils.to_categorical(test_classes, num_classes=10)

model = keras.Sequential(
    [
        Conv2D(16, (3, 3), activation="relu", input_shape=(32, 32, 3)),
        MaxPooling2D(pool_size=(2, 2)),
        Conv2D(24, (3, 3), activation="relu"),
        MaxPooling2D(pool_size=(2, 2)),
        Flatten(),
        Dense(32, activation="relu"),
        Dense(10, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(images, classes, epochs=4, batch_size=32, validation_data=(test_images, test_classes)).history
print("first and last loss:", history["loss"][0], history["loss"][-1])
print(model.evaluate(test_images, test_classes))
