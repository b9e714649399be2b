"""The callback that evaluates with averaged weights."""

from __future__ import annotations

from typing import Any

from graphc.callbacks.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """The moving averages of the weights stand in for the weights during evaluation and prediction.

    The optimizer keeps them if it was made with `use_ema=True` (ValueError otherwise). swap_on_epoch: also from the end
    of each epoch to the beginning of the next, so that a `ModelCheckpoint` behind this callback saves the averages.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._is_swapped = False

    def _pairs(self) -> list[tuple[Any, Any]]:
        """(weight, average) of all trained weights."""
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights must be used when `use_ema=True` is set on the optimizer. Received: "
                f"use_ema={getattr(optimizer, 'use_ema', None)}"
            )
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        return list(zip(optimizer._trainable_variables, optimizer._averages, strict=True))

    def _swap(self, to_averages: bool) -> None:
        if self._is_swapped == to_averages:
            return
        for weight, average in self._pairs():
            before = weight.numpy()
            weight.assign(average)
            average.assign(before)
        self._is_swapped = to_averages

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(to_averages=False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.swap_on_epoch:
            return
        self._swap(to_averages=True)
        if epoch == (self.params or {})["epochs"] - 1:
            # after the last epoch the optimizer writes its averages into the weights
            for weight, average in self._pairs():
                average.assign(weight)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(to_averages=True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(to_averages=False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(to_averages=True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(to_averages=False)
