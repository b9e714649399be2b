"""Addition as translation, from "27+548" to "575": python examples/addition_seq2seq.py [--epochs 25].

One LSTM reads the sum letter by letter, backwards; another begins with what the first ended with and writes the result.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import graphc as keras
from graphc import layers

DIGITS = 2
LETTERS = "0123456789+ "
QUESTION, ANSWER = 2 * DIGITS + 1, DIGITS + 1


def sums() -> tuple[list[str], list[str]]:
    """All sums of two numbers, and their results."""
    pairs = [(a, b) for a in range(10**DIGITS) for b in range(10**DIGITS)]
    return [f"{a}+{b}".ljust(QUESTION) for a, b in pairs], [str(a + b).ljust(ANSWER) for a, b in pairs]


def codes(lines: list[str]) -> Any:
    return np.array([[LETTERS.index(letter) for letter in line] for line in lines], "int32")


def model_of(units: int) -> Any:
    asked = keras.Input((QUESTION,), dtype="int32")
    letters = layers.Embedding(len(LETTERS), 16)(asked)
    *_, h, c = layers.LSTM(units, go_backwards=True, return_state=True)(letters)
    written = layers.LSTM(units, return_sequences=True)(layers.RepeatVector(ANSWER)(h), initial_state=[h, c])
    return keras.Model(asked, layers.TimeDistributed(layers.Dense(len(LETTERS), activation="softmax"))(written))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    questions, answers = sums()
    order = np.random.default_rng(1).permutation(len(questions))
    x, y = codes(questions)[order], codes(answers)[order]
    kept = len(x) // 10
    model = model_of(96)
    model.compile(optimizer=keras.optimizers.Adam(0.004), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[kept:], y[kept:], epochs=options.epochs, batch_size=128, verbose=2)

    found = model.predict(x[:kept], verbose=0).argmax(-1)
    for row in range(5):
        text = "".join(LETTERS[i] for i in found[row])
        print(f"{questions[order[row]].strip()} = {text.strip()} ({answers[order[row]].strip()})")
    print(f"new sums right: {(found == y[:kept]).all(-1).mean():.4f}")


if __name__ == "__main__":
    main()
