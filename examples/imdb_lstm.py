"""Is a film review good or bad? Read word by word: python examples/imdb_lstm.py [--kind lstm|gru|both] [--epochs 4].

`both` reads from both ends. With 5,000 reviews and the 500 commonest words it is right about four times in five.
"""

from __future__ import annotations

import argparse
from typing import Any

import texts

import graphc as keras
from graphc import layers

LENGTH, WORDS = 120, 500


def reader(kind: str) -> Any:
    match kind:
        case "lstm":
            return layers.LSTM(32)
        case "gru":
            return layers.GRU(32)
    return layers.Bidirectional(layers.LSTM(24))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("lstm", "gru", "both"), default="both")
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = texts.reviews(LENGTH, WORDS)
    model = keras.Sequential([
        keras.Input((LENGTH,), dtype="int32"),
        layers.Embedding(WORDS, 32, mask_zero=True),
        layers.SpatialDropout1D(0.2),
        reader(options.kind),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.summary()
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=options.epochs, batch_size=64, validation_split=0.1)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test accuracy: {accuracy:.4f}")


if __name__ == "__main__":
    main()
