"""Keras 2's `keras.wrappers.scikit_learn`: a function that builds a compiled model as an estimator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.legacy.deprecation import deprecated
from graphc.utils import to_categorical
from graphc.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

__all__ = [
    "BaseWrapper",
    "KerasClassifier",
    "KerasRegressor",
    "SKLearnClassifier",
    "SKLearnRegressor",
    "SKLearnTransformer",
]

_RUN: tuple[str, ...] = ("batch_size", "callbacks", "class_weight", "epochs", "nb_epoch", "shuffle", "steps_per_epoch")
_RUN += ("validation_data", "validation_split", "verbose", "sample_weight", "initial_epoch")


class BaseWrapper:
    """build_fn(**arguments) returns a compiled model; other arguments are for it, or for `fit`, `predict`, `score`."""

    def __init__(self, build_fn: Callable[..., Any], **sk_params: Any) -> None:
        deprecated(f"`{type(self).__name__}` is deprecated; use `keras.wrappers.{self._successor}`.")
        self.build_fn = build_fn
        self.sk_params = sk_params
        self._check(sk_params)

    _successor = "SKLearnRegressor"

    def _check(self, params: dict[str, Any]) -> None:
        known = inspect.signature(self.build_fn).parameters
        if any(p.kind is p.VAR_KEYWORD for p in known.values()):
            return
        for name in params:
            if name not in _RUN and name not in known:
                raise ValueError(f"{name} is not a legal parameter")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All arguments by name."""
        return {"build_fn": self.build_fn, **self.sk_params}

    def set_params(self, **params: Any) -> Any:
        """Change arguments; returns the estimator."""
        self._check({name: value for name, value in params.items() if name != "build_fn"})
        self.build_fn = params.pop("build_fn", self.build_fn)
        self.sk_params.update(params)
        return self

    def _chosen(self, names: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {**{name: value for name, value in self.sk_params.items() if name in names}, **given}

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Build a model and train it; returns its History."""
        self.model = self.build_fn(**self._chosen(inspect.signature(self.build_fn).parameters, {}))
        return self.model.fit(np.asarray(x), self._targets(np.asarray(y)), **self._chosen(_RUN, kwargs))

    def _targets(self, y: Any) -> Any:
        """What the model is trained on."""
        return y

    def _outputs(self, x: Any, kwargs: dict[str, Any]) -> Any:
        return self.model.predict(np.asarray(x), **self._chosen(("batch_size", "verbose"), kwargs))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=True))


class KerasRegressor(BaseWrapper):
    """A model whose outputs are the targets."""

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """Predictions, without an axis of length one."""
        return np.squeeze(self._outputs(x, kwargs), axis=-1)

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The loss on this data, negative: more is better."""
        found = self.model.evaluate(np.asarray(x), np.asarray(y), **self._chosen(("batch_size", "verbose"), kwargs))
        return -float(found[0] if isinstance(found, list) else found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        return tags


class KerasClassifier(BaseWrapper):
    """A model whose outputs are probabilities of classes."""

    _successor = "SKLearnClassifier"

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        labels = np.asarray(y)
        if labels.ndim == 2 and labels.shape[1] > 1:
            self.classes_ = np.arange(labels.shape[1])
        else:
            self.classes_, labels = np.unique(labels, return_inverse=True)
        self.n_classes_ = len(self.classes_)
        return super().fit(x, labels, **kwargs)

    def _targets(self, y: Any) -> Any:
        if y.ndim == 2 and y.shape[1] > 1:
            return y
        loss = getattr(self.model.loss, "name", getattr(self.model.loss, "__name__", self.model.loss))
        return to_categorical(y, self.n_classes_) if loss == "categorical_crossentropy" else y.reshape(-1)

    def predict_proba(self, x: Any, **kwargs: Any) -> Any:
        """Probabilities (samples, classes)."""
        found = self._outputs(x, kwargs)
        return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """The most probable class of each sample."""
        return self.classes_[self.predict_proba(x, **kwargs).argmax(-1)]

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The share of samples whose class is found."""
        labels = np.asarray(y)
        labels = labels.argmax(-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
        return float(np.mean(self.predict(x, **kwargs) == labels))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        return tags
