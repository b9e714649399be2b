"""The same digits by class number, with old spellings: float64 pixels, `input_shape=`, activations as layers."""

import keras
import numpy as np
from keras.layers import Activation, Conv2D, Dense, Flatten, MaxPooling2D

keras.utils.set_random_seed(2)
(x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
x = x.reshape(x.shape[0], 28, 28, 1) / 255.0
x_test = x_test.reshape(x_test.shape[0], 28, 28, 1) / 255.0

model = keras.models.Sequential()
model.add(Conv2D(12, kernel_size=(3, 3), padding="same", input_shape=(28, 28, 1)))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(4, 4)))
model.add(Flatten())
model.add(Dense(40, activation=keras.activations.relu))
model.add(Dense(10))
model.add(Activation("softmax"))
optimizer = keras.optimizers.Adam(learning_rate=0.003)
model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=6, batch_size=25, verbose=2)
probabilities = model.predict(x_test, verbose=0)
print("probabilities:", probabilities.shape, probabilities.dtype, bool(np.allclose(probabilities.sum(1), 1, atol=1e-5)))
test_loss, test_accuracy = model.evaluate(x_test, y_test)
print("accuracy: %.2f %%" % (100 * test_accuracy))
print(f"share of right guesses: {np.mean(probabilities.argmax(axis=1) == y_test):.4f}")
