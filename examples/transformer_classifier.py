"""Is a film review good or bad? By attention: python examples/transformer_classifier.py [--epochs 4]."""

from __future__ import annotations

import argparse
from typing import Any

import texts

import graphc as keras
from graphc import layers
from graphc.generation import PositionEmbedding

LENGTH, WORDS, WIDTH = 150, 500, 32


def block(x: Any) -> Any:
    """Every word looks at all others, then thinks for itself."""
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, WIDTH // 2)(x, x))
    thought = layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, activation="relu")(x))
    return layers.LayerNormalization()(x + layers.Dropout(0.2)(thought))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = texts.reviews(LENGTH, WORDS)
    ids = keras.Input((LENGTH,), dtype="int32")
    x = PositionEmbedding(LENGTH)(layers.Embedding(WORDS, WIDTH)(ids))
    x = layers.GlobalAveragePooling1D()(block(layers.Dropout(0.2)(x)))
    model = keras.Model(ids, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.2)(x)))
    model.summary()
    model.compile(optimizer=keras.optimizers.Adam(0.002), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=options.epochs, batch_size=64, validation_split=0.1)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test accuracy: {accuracy:.4f}")


if __name__ == "__main__":
    main()
