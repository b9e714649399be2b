"""Digits read row by row, with two kinds of recurrent cell, one network after the other; saved and loaded again."""

import os
import tempfile

import numpy as np
from keras.datasets import mnist
from keras.layers import LSTM, Dense, Input
from keras.models import Model, load_model
from keras.optimizers import Adam
from keras.utils import to_categorical

(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0

for activation in ("tanh", "relu"):
    inputs = Input(shape=(28, 28))
    hidden = LSTM(24, activation=activation)(inputs)
    outputs = Dense(10, activation="softmax")(hidden)
    model = Model(inputs, outputs)
    model.compile(loss="categorical_crossentropy", optimizer=Adam(0.01), metrics=["accuracy"])
    model.fit(x_train, to_categorical(y_train), epochs=3, batch_size=32, verbose=2)

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "digits.keras")
    model.save(path)
    again = load_model(path)
print("loaded:", np.allclose(again.predict(x_test[:9], verbose=0), model.predict(x_test[:9], verbose=0), atol=1e-6))
print(again.evaluate(x_test, to_categorical(y_test), verbose=0))
