"""Topics of short texts, by a recurrent network over padded word numbers."""

import keras
from keras.layers import LSTM, Dense, Embedding, Input
from keras.models import Sequential

words, length = 1000, 30
(x_train, y_train), (x_test, y_test) = keras.datasets.reuters.load_data(num_words=words, maxlen=None)
topics = int(max(y_train.max(), y_test.max())) + 1
x_train = keras.preprocessing.sequence.pad_sequences(x_train, maxlen=length)
x_test = keras.preprocessing.sequence.pad_sequences(x_test, maxlen=length)

model = Sequential()
model.add(Input((length,), dtype="int32"))
model.add(Embedding(words, 16))
model.add(LSTM(24))
model.add(Dense(topics, activation="softmax"))
model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=32, epochs=6, verbose=2)
print("topics:", topics, "losses fall:", history.history["loss"][-1] < history.history["loss"][0])
print(model.evaluate(x_test, y_test, verbose=0))
