"""The parent's side of a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.systems import System, environment

_ROOT = Path(__file__).resolve().parent.parent
_CLOSE_SECONDS = 20
_LOG_LINES = 5


class WorkerFailed(Exception):
    """A worker answered with an error, or died; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where workers run: on how many cores, with which folder for compiled code, with which folder for their logs."""

    threads: int
    caches: Path
    folder: Path


class Child:
    """A worker process, blocked on its stdin except while it answers. To be used in a `with` statement.

    module: the one that serves; arguments: what it is given beside system and threads. Raises
    `mkl.Unavailable` if the system cannot be set up on this machine.
    """

    def __init__(self, system: System, place: Place, module: str, *arguments: str) -> None:
        self.system = system
        self._log = place.folder / f"{system.name}.log"
        command = [sys.executable, "-m", module, system.name, str(place.threads), *arguments]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=_ROOT,
                env={**os.environ, **environment(system, place.threads, place.caches)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._process.communicate(timeout=_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have the worker do something and wait for it. Raises WorkerFailed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerFailed(self._last_words()) from None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"{do}: {answer['error']}")
        return answer["ok"]

    def _last_words(self) -> str:
        end = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return f"the process ended with status {self._process.wait()}: " + " / ".join(end)
