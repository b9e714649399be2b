"""442 diabetes patients: ten measurements, and how far the disease went a year later (Efron et al. 2004)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def load() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): float32 of shapes (n, 10) and (n, 1); y from 25 to 346."""
    try:
        from sklearn.datasets import load_diabetes
    except ImportError as error:
        raise SystemExit("This example needs scikit-learn's data: pip install scikit-learn") from error
    patients = load_diabetes(scaled=False)
    order = np.random.default_rng(0).permutation(len(patients.target))
    x, y = patients.data[order].astype("float32"), patients.target[order].astype("float32")[:, None]
    return (x[:-100], y[:-100]), (x[-100:], y[-100:])
