"""Regression with the callbacks that watch over a long training: stop early, lower the rate, keep the best, log.

python examples/regression_callbacks.py [--epochs 300] [--batch-size 32]

How far diabetes goes within a year, from ten measurements of 342 patients. Guessing the mean is off by 60.6
points for the 100 others, the model by 45.5.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import patients

import graphc as keras
from graphc import callbacks, layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=300, help="at most")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = patients.load()

    normalization = layers.Normalization()
    normalization.adapt(x_train)
    model = keras.Sequential([
        keras.Input((10,)),
        normalization,
        layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01)),
        layers.Dense(16, activation="relu"),
        layers.Dense(1),
    ])  # fmt: skip
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=keras.losses.Huber(delta=20.0), metrics=["mae"])

    with tempfile.TemporaryDirectory() as folder:
        best, log = Path(folder) / "best.weights.h5", Path(folder) / "log.csv"
        history = model.fit(
            x_train, y_train, validation_split=0.2, epochs=options.epochs, batch_size=options.batch_size, verbose=0,
            callbacks=[
                callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=5, verbose=1),
                callbacks.EarlyStopping(monitor="val_loss", patience=20, verbose=1),
                callbacks.ModelCheckpoint(best, monitor="val_loss", save_best_only=True, save_weights_only=True),
                callbacks.CSVLogger(log),
            ],
        )  # fmt: skip
        print(f"{len(log.read_text().splitlines()) - 1} epochs are in the log: {', '.join(history.history)}")
        model.load_weights(best)

    _, error = model.evaluate(x_test, y_test, verbose=0)
    print(f"off by, if one guesses the mean: {np.abs(y_test - y_train.mean()).mean():.1f}")
    print(f"off by, with the model: {error:.1f}")


if __name__ == "__main__":
    main()
