"""A functional model on made-up pictures whose brightness is their class, ending in global average pooling."""

import keras
import numpy as np
from keras.layers import Conv2D, Dense, Dropout, GlobalAveragePooling2D, Input, MaxPooling2D
from keras.models import Model

keras.utils.set_random_seed(6)
generator = np.random.default_rng(6)
labels = generator.integers(0, 3, 90)
pictures = generator.normal(0, 0.1, (90, 40, 36, 3)).astype("float32")
pictures += labels[:, None, None, None].astype("float32")

inputs = Input(shape=(40, 36, 3))
x = inputs
for _ in range(2):
    x = Conv2D(8, (3, 3), activation="relu")(x)
    x = MaxPooling2D((2, 2))(x)
x = GlobalAveragePooling2D()(x)
x = Dropout(0.1)(x)
model = Model(inputs=inputs, outputs=Dense(3, activation="softmax")(x))
model.compile(keras.optimizers.Adam(0.02), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(pictures, labels, epochs=12, batch_size=16, verbose=0)
model.summary()
print(model.evaluate(pictures, labels, verbose=0))
