"""Forecasts of a chaotic series from its last 32 values: python examples/time_series.py [--epochs 8].

The series of Mackey and Glass (1977), a model of the number of white blood cells: no two of its cycles are alike. The
naive forecast says that nothing will change.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import graphc as keras
from graphc import layers

WINDOW, AHEAD = 32, 6


def mackey_glass(count: int, delay: int = 17) -> Any:
    """Values one unit of time apart, by steps of Euler's method of a tenth."""
    steps = 10
    x = np.full(count * steps + delay * steps, 1.2)
    for t in range(delay * steps, len(x) - 1):
        late = x[t - delay * steps]
        x[t + 1] = x[t] + (0.2 * late / (1 + late**10) - 0.1 * x[t]) / steps
    return x[delay * steps :: steps].astype("float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    series = mackey_glass(4000)[:, None]
    cut = 3000
    series = (series - series[:cut].mean()) / series[:cut].std()
    last = WINDOW + AHEAD - 1  # from the first value of a window to the one that is forecast
    make = keras.utils.timeseries_dataset_from_array
    train = make(series[: cut - AHEAD], series[last:cut], WINDOW, batch_size=64, shuffle=True, seed=1)
    test = make(series[cut:-AHEAD], series[cut + last :], WINDOW, batch_size=64)

    model = keras.Sequential([
        keras.Input((WINDOW, 1)),
        layers.Conv1D(16, 5, padding="causal", activation="relu"),
        layers.GRU(24),
        layers.Dense(1),
    ])  # fmt: skip
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="mse", metrics=["mae"])
    model.fit(train, epochs=options.epochs, verbose=2)
    _, off = model.evaluate(test, verbose=0)
    naive = np.abs(series[cut + last :] - series[cut + WINDOW - 1 : -AHEAD]).mean()
    print(f"off by, where nothing changes: {naive:.4f}")
    print(f"off by, with the model: {off:.4f}")


if __name__ == "__main__":
    main()
