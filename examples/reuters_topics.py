"""Which of 46 topics is a news story about? python examples/reuters_topics.py [--epochs 6]."""

from __future__ import annotations

import argparse

import texts

import graphc as keras
from graphc import layers

LENGTH, WORDS = 100, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = texts.stories(LENGTH, WORDS)
    topics = int(max(y_train.max(), y_test.max())) + 1
    model = keras.Sequential([
        keras.Input((LENGTH,), dtype="int32"),
        layers.Embedding(WORDS, 48, mask_zero=True),
        layers.Bidirectional(layers.LSTM(32, return_sequences=True)),
        layers.GlobalAveragePooling1D(),
        layers.Dropout(0.3),
        layers.Dense(topics, activation="softmax"),
    ])  # fmt: skip
    model.summary()
    accurate = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(3, name="among_three")]
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="sparse_categorical_crossentropy", metrics=accurate)
    model.fit(x_train, y_train, epochs=options.epochs, batch_size=64, validation_split=0.1)
    _, accuracy, among_three = model.evaluate(x_test, y_test, verbose=0)
    print(f"test accuracy: {accuracy:.4f}")
    print(f"among the three likeliest: {among_three:.4f}")


if __name__ == "__main__":
    main()
