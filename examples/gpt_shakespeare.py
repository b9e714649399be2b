"""A small GPT learns to write plays, letter by letter: python examples/gpt_shakespeare.py [--epochs 3].

Each epoch is 100 batches of random passages. Writing is a compiled step of its own, which remembers the keys and values
of what it has written.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import texts

import graphc as keras
from graphc import layers
from graphc.generation import Decoder, PositionEmbedding

STEPS, WIDTH, HEADS, BLOCKS, BATCH = 96, 128, 4, 3, 24


def gpt(letters: int) -> Any:
    ids = keras.Input((STEPS,), dtype="int32")
    x = PositionEmbedding(STEPS)(layers.Embedding(letters, WIDTH)(ids))
    for _ in range(BLOCKS):
        a = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(a, a, use_causal_mask=True)
        a = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(WIDTH)(a)
    return keras.Model(ids, layers.Dense(letters)(layers.LayerNormalization()(x)), name="gpt")


def passages(codes: Any, count: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Random passages, and the same one letter later."""
    starts = rng.integers(0, len(codes) - STEPS - 1, count)
    taken = codes[starts[:, None] + np.arange(STEPS + 1)]
    return taken[:, :-1], taken[:, 1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--prompt", default="ROMEO:\n")
    parser.add_argument("--temperature", type=float, default=0.8)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    text = texts.shakespeare()
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    codes = np.array([number[letter] for letter in text], "int32")
    learnt, kept = codes[: len(codes) * 9 // 10], codes[len(codes) * 9 // 10 :]

    rng = np.random.default_rng(1)
    model = gpt(len(letters))
    model.compile(
        optimizer=keras.optimizers.AdamW(0.002, weight_decay=0.01, clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for epoch in range(options.epochs):
        x, y = passages(learnt, 100 * BATCH, rng)
        history = model.fit(x, y, batch_size=BATCH, verbose=0)
        print(f"epoch {epoch + 1}: {history.history['loss'][0]:.3f} nats a letter", flush=True)
    x, y = passages(kept, 8 * BATCH, rng)
    print(f"nats a letter of other plays: {model.evaluate(x, y, batch_size=BATCH, verbose=0):.3f}")

    prompt = [number[letter] for letter in options.prompt]
    decoder = Decoder(model, top_k=20)
    begin = time.perf_counter()
    written = decoder.generate(prompt, STEPS - len(prompt), options.temperature, seed=1)
    speed = (STEPS - 1) / (time.perf_counter() - begin)
    print("".join(letters[i] for i in written))
    print(f"letters a second: {speed:.0f}")


if __name__ == "__main__":
    main()
