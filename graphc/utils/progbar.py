"""The progress line of training, evaluation, prediction and downloads."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.utils.messages import print_message

_BOLD, _GREEN, _WHITE, _RESET = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"
_CELL = "━"


class Progbar:
    """A line showing how far a job of `target` steps (None: unknown) has come, with the values of metrics.

    verbose: 0 nothing, 1 a bar that is redrawn, 2 one line at the end. interval: seconds between two redraws at least.
    A metric in `stateful_metrics` (or, if `stateless_metrics` is given, not in that) is shown as it is; the others are
    averaged over the steps. Only one of the two may be given (ValueError).
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Only one of `stateful_metrics` or `stateless_metrics` can be provided.")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        # Keras counts every POSIX system as able to go back in the line, also when stdout is a file.
        self._redraws = sys.stdout.isatty() or "ipykernel" in sys.modules or "posix" in sys.modules
        self._seen_so_far = 0
        # Per metric: weighted total and weight.
        self._values: dict[str, tuple[Any, int]] = {}
        self._start = time.time()
        self._last_update = 0.0
        self._time_after_first_step: float | None = None
        self._drawn_width = 0

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Draw the state after `current` steps.

        values: (name, value of the last step). finalize: whether this is the last call; None: when the target is
        reached.
        """
        done = bool(self.target is not None and current >= self.target) if finalize is None else finalize
        for name, value in values or ():
            self._record(name, value, current, done)
        self._seen_so_far = current
        now = time.time()
        step_duration = self._step_duration(current, now)
        if self.verbose == 1:
            if now - self._last_update < self.interval and not done:
                return
            self._draw(current, now, step_duration, done)
        elif self.verbose == 2 and done and self.target:
            self._print_summary(current, now, step_duration)
        self._last_update = now

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """`update` with `n` more steps than before."""
        self.update(self._seen_so_far + n, values)

    def _record(self, name: str, value: Any, current: int, done: bool) -> None:
        if self._is_averaged(name) and not done:
            steps = max(current - self._seen_so_far, 1)
            total, weight = self._values.get(name, (0.0, 0))
            self._values[name] = (total + value * steps, weight + steps)
        else:
            self._values[name] = (value, 1)

    def _is_averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in (self.stateful_metrics or ())

    def _draw(self, current: int, now: float, step_duration: float, done: bool) -> None:
        bar = self._bar(current)
        seconds = f"{now - self._start:.0f}s" if done or not self.target else self._eta(current, step_duration)
        info = f" {_BOLD}{seconds}{_RESET}{self._per_unit(step_duration)}{self._metrics()}"
        width = _visible_width(bar + info)
        start = "\b" * self._drawn_width + "\r" if self._redraws else "\n"
        padding = " " * (self._drawn_width - width)
        print_message(start + bar + info + padding + ("\n" if done else ""), line_break=False)
        self._drawn_width = width

    def _bar(self, current: int) -> str:
        if not self.target:
            return f"{current:7d}/Unknown"
        cells = int(self.width * current / self.target)
        filled = f"{_GREEN}{_CELL * cells}{_RESET}" if cells > 0 else ""
        return f"{_BOLD}{self._count(current)}{_RESET} {filled}{_WHITE}{_CELL * (self.width - cells)}{_RESET}"

    def _count(self, current: int) -> str:
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _eta(self, current: int, step_duration: float) -> str:
        left = step_duration * ((self.target or 0) - current)
        if left > 3600:
            return f"{int(left // 3600)}:{int(left % 3600 // 60):02d}:{int(left % 60):02d}"
        return f"{int(left // 60)}:{int(left % 60):02d}" if left > 60 else f"{int(left)}s"

    def _per_unit(self, duration: float) -> str:
        if duration >= 1 or duration == 0:
            return f" {duration:.0f}s/{self.unit_name}"
        if duration >= 1e-3:
            return f" {duration * 1e3:.0f}ms/{self.unit_name}"
        return f" {duration * 1e6:.0f}us/{self.unit_name}"

    def _metrics(self) -> str:
        return "".join(f" - {name}: {_number(average)}" for name, average in self._averages())

    def _averages(self) -> list[tuple[str, float]]:
        return [(name, float(np.mean(total)) / max(1, weight)) for name, (total, weight) in self._values.items()]

    def _print_summary(self, current: int, now: float, step_duration: float) -> None:
        # In this line Keras prints negative values in exponent form, too.
        metrics = "".join(
            f" - {name}: " + (f"{average:.4f}" if average > 1e-3 else f"{average:.4e}")
            for name, average in self._averages()
        )
        line = f"{self._count(current)} - {now - self._start:.0f}s -{self._per_unit(step_duration)}{metrics}\n"
        print_message(line, line_break=False)

    def _step_duration(self, current: int, now: float) -> float:
        """Mean seconds a step; the first step, which often includes set-up, counts only while it is the only one."""
        if not current:
            return 0.0
        if self._time_after_first_step is not None and current > 1:
            duration = (now - self._time_after_first_step) / (current - 1)
        else:
            duration = (now - self._start) / current
        if current == 1:
            self._time_after_first_step = now
        return duration


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def _visible_width(text: str) -> int:
    for code in (_BOLD, _GREEN, _WHITE, _RESET):
        text = text.replace(code, "")
    return len(text)
