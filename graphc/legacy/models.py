"""Methods and arguments of models that Keras 3 no longer has."""

from __future__ import annotations

from typing import Any

from graphc import config
from graphc.legacy.deprecation import deprecated

# Old arguments of `fit` and its kin: what they are called now; None: they do nothing any more.
ARGUMENTS = {
    "max_q_size": None,
    "max_queue_size": None,
    "nb_epoch": "epochs",
    "nb_val_samples": None,
    "nb_worker": None,
    "pickle_safe": None,
    "show_accuracy": None,
    "use_multiprocessing": None,
    "val_samples": None,
    "workers": None,
}


def without_old_arguments(method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments by today's names, without those that do nothing any more; all of them if old ones are refused."""
    if not config.legacy_names():
        return arguments
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        if name not in ARGUMENTS:
            found[name] = value
        elif (new := ARGUMENTS[name]) is None:
            deprecated(f"{method}(): `{name}` is deprecated and does nothing.")
        else:
            deprecated(f"{method}(): `{name}` is deprecated; use `{new}`.")
            found[new] = value
    return found


class OldMethods:
    """Of Keras 1 and 2, by way of today's methods."""

    def fit_generator(self, generator: Any, steps_per_epoch: int | None = None, epochs: int = 1, **kwargs: Any) -> Any:
        """`fit`, which takes generators itself."""
        self._use("fit_generator", "fit")
        kwargs = without_old_arguments("fit_generator", kwargs)
        if "samples_per_epoch" in kwargs:
            raise ValueError("fit_generator(): `samples_per_epoch` counts samples; give `steps_per_epoch`, batches")
        epochs = kwargs.pop("epochs", epochs)
        return self.fit(generator, steps_per_epoch=steps_per_epoch, epochs=epochs, **kwargs)  # type: ignore[attr-defined]

    def evaluate_generator(self, generator: Any, steps: int | None = None, **kwargs: Any) -> Any:
        """`evaluate`, which takes generators itself."""
        self._use("evaluate_generator", "evaluate")
        kwargs = {"verbose": 0, **without_old_arguments("evaluate_generator", kwargs)}
        return self.evaluate(generator, steps=steps, **kwargs)  # type: ignore[attr-defined]

    def predict_generator(self, generator: Any, steps: int | None = None, **kwargs: Any) -> Any:
        """`predict`, which takes generators itself."""
        self._use("predict_generator", "predict")
        kwargs = {"verbose": 0, **without_old_arguments("predict_generator", kwargs)}
        return self.predict(generator, steps=steps, **kwargs)  # type: ignore[attr-defined]

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """`predict`."""
        self._use("predict_proba", "predict")
        return self.predict(x, batch_size=batch_size, verbose=verbose)  # type: ignore[attr-defined]

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """The most probable class, or for one output whether it is above 0.5, int32 (samples, 1)."""
        self._use("predict_classes", "predict(x).argmax(axis=-1)")
        found = self.predict(x, batch_size=batch_size, verbose=verbose)  # type: ignore[attr-defined]
        return found.argmax(axis=-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")

    def _use(self, old: str, new: str) -> None:
        if not config.legacy_names():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {old!r}; use `{new}`")
        deprecated(f"`{old}` is deprecated; use `{new}`.")
