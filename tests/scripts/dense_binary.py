"""Yes or no from eight features: a small dense net with one sigmoid at its end."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.utils import set_random_seed

set_random_seed(3)
generator = np.random.default_rng(5)
features = generator.uniform(-1, 1, (500, 8))
answers = (features @ np.arange(-3, 5) > 0.2).astype("int64")

model = Sequential()
model.add(Dense(12, input_dim=8, activation="relu"))
model.add(Dense(6, activation="relu"))
model.add(Dense(1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(features[:400], answers[:400], epochs=60, batch_size=10, verbose=0)
print(model.predict(features[400:403], verbose=0).shape)
print(model.evaluate(features[400:], answers[400:]))
