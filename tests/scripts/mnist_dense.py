"""Digits as rows of 784 pixels through one hidden layer with dropout."""

from keras import layers, models, optimizers, utils
from keras.datasets import mnist

utils.set_random_seed(5)
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = (x.reshape(-1, 28 * 28) / 255.0 for x in (x_train, x_test))

net = models.Sequential()
net.add(layers.Dense(64, activation="relu", input_shape=(784,)))
net.add(layers.Dropout(rate=0.2))
net.add(layers.Dense(10, activation="softmax"))
net.compile(optimizers.RMSprop(0.002), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
net.fit(x_train, y_train, epochs=6, batch_size=32)
print(net.evaluate(x_test, y_test, verbose=0))
