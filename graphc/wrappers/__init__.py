"""`keras.wrappers`: models as estimators of scikit-learn, which must be installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "keras.wrappers needs scikit-learn (1.6 or newer): pip install 'graphc-compiler[sklearn]'"
    ) from error

from graphc.models import Model

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


class KerasEstimator(BaseEstimator):  # type: ignore[misc]
    """A compiled model, or a function (X=, y=, **model_kwargs) that returns one, with the methods of an estimator.

    A model is trained as a copy unless `warm_start`. fit_kwargs: for `model.fit`; those given to `fit` go before them.
    After `fit`, `model_` is the trained model and `history_` its History.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_clone__(self) -> Any:
        return type(self)(self.model, self.warm_start, self.model_kwargs, self.fit_kwargs)

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train on (samples, features) and the targets; returns the estimator."""
        X, y = validate_data(self, X, y, multi_output=True)
        targets = self._encoded(y)
        model = self._model(X, targets)
        if not model.compiled or not model.loss or not model.optimizer:
            raise RuntimeError("Given model needs to be compiled, and have a loss and an optimizer.")
        self.history_ = model.fit(X, targets, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _model(self, X: Any, y: Any) -> Any:
        if not isinstance(self.model, Model):
            return self.model(X=X, y=y, **(self.model_kwargs or {}))
        return self.model if self.warm_start else _copy(self.model)

    def _encoded(self, y: Any) -> Any:
        """The targets as the model gets them."""
        self._is_flat = y.ndim == 1
        return y.reshape(-1, 1) if self._is_flat else y

    def _outputs(self, X: Any) -> Any:
        check_is_fitted(self)
        return self.model_.predict(validate_data(self, X, reset=False), verbose=0)

    def predict(self, X: Any) -> Any:
        """Predictions in the form of the targets."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._is_flat and outputs.ndim == 2 else outputs


def _copy(model: Any) -> Any:
    """A model of the same layers with new weights, compiled alike."""
    from graphc.models import clone_model

    copy = clone_model(model)
    copy.compile_from_config(model.get_compile_config())
    return copy


class SKLearnClassifier(ClassifierMixin, KerasEstimator):  # type: ignore[misc]
    """A model whose outputs are probabilities of classes; it is trained on one-hot targets."""

    def _encoded(self, y: Any) -> Any:
        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"Only binary and multiclass target types are supported. Target type: {kind}")
        self.classes_ = np.unique(y)
        if len(self.classes_) == 1:
            raise ValueError("Classifier can't train when only one class is present.")
        found = LabelBinarizer().fit(self.classes_).transform(y)
        return np.hstack([1 - found, found]) if len(self.classes_) == 2 else found

    def decision_function(self, X: Any) -> Any:
        """The model's outputs."""
        return self._outputs(X)

    predict_proba = decision_function

    def predict(self, X: Any) -> Any:
        """The most probable class of each sample."""
        return self.classes_[self._outputs(X).argmax(-1)]


class SKLearnRegressor(RegressorMixin, KerasEstimator):  # type: ignore[misc]
    """A model whose outputs are the targets."""


class SKLearnTransformer(TransformerMixin, KerasEstimator):  # type: ignore[misc]
    """A model whose outputs are features for what comes after it."""

    def transform(self, X: Any) -> Any:
        """The model's outputs."""
        return self._outputs(X)
