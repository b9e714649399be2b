"""The Python side of the native thread pool: starting its workers, packing calls for it, and running them.

The pool itself is native code that somebody else has compiled; this module is handed the addresses of its functions.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOG = logging.getLogger(__name__)

PHASE = np.dtype(
    [
        ("kernel", "u8"),
        ("slots", "u8"),
        ("per_row", "i8"),
        ("fixed", "i8"),
        ("grain", "i8"),
        ("flags", "i4"),
        ("check_slot", "i4"),
    ],
    align=True,
)
CALL = np.dtype(
    [
        ("phases", "u8"),
        ("n_phases", "i8"),
        ("table", "u8"),
        ("rows", "i8"),
        ("scratch", "u8"),
        ("scratch_stride", "i8"),
        ("threads", "i4"),
        ("abort", "i4"),
        ("cycles", "u8"),
    ],
    align=True,
)

ABORTED = -1
"""The status of a run that was aborted before its update section."""

_FIRST_UPDATE = 1
_SERIAL = 2
_JOINT = 4
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Phase:
    """One kernel of a program, over per_row * rows + fixed units that are given out `grain` at a time.

    `kernel` is an address, `slots` the address of the i32 table indices of its operands. From the phase marked
    `first_update` on, a run is no longer aborted. A `serial` phase runs on the caller alone; of a `joint` one a thread
    may take several chunks as one. If `check_slot` >= 0, the i32 that table[check_slot] points to must be 0 when the
    phase is over, or the run stops with status index + 1.
    """

    kernel: int
    slots: int
    per_row: int
    fixed: int
    grain: int
    first_update: bool = False
    serial: bool = False
    joint: bool = False
    check_slot: int = -1

    def packed(self) -> tuple[int, ...]:
        assert self.grain > 0 and self.per_row >= 0 and self.fixed >= 0, self
        flags = _FIRST_UPDATE * self.first_update | _SERIAL * self.serial | _JOINT * self.joint
        return self.kernel, self.slots, self.per_row, self.fixed, self.grain, flags, self.check_slot


def pack_phases(phases: Sequence[Phase]) -> NDArray[np.void]:
    """The phases as the array native code reads."""
    return np.array([phase.packed() for phase in phases], dtype=PHASE)


def pack_call(
    phases: NDArray[np.void],
    table: NDArray[np.uint64],
    *,
    rows: int,
    threads: int,
    scratch: int = 0,
    scratch_stride: int = 0,
    cycles: NDArray[np.uint64] | None = None,
) -> NDArray[np.void]:
    """A Call as a one-element array: its address is what `Pool.run` takes, its fields may be rewritten between runs.

    `table` holds buffer addresses. Thread t of at most `threads` works in the bytes from scratch + t * scratch_stride.
    `cycles`, one counter per phase, accumulates ticks. The arrays behind the addresses must outlive the call's runs.
    """
    assert cycles is None or len(cycles) == len(phases), "cycles needs one counter per phase"
    counters = 0 if cycles is None else cycles.ctypes.data
    head = (phases.ctypes.data, len(phases), table.ctypes.data, rows)
    return np.array([(*head, scratch, scratch_stride, threads, 0, counters)], dtype=CALL)


class Pool:
    """A process-wide set of native workers. It lives until the interpreter exits, with `owner`, which holds its code.

    Any number of Python threads may run calls: one has the workers, the others run on their own thread meanwhile.
    """

    run: Callable[[int], int]
    """Run the Call at an address, without the GIL; 0 is done, i + 1 a failed check in phase i, ABORTED aborted."""

    ticks: Callable[[], int]
    """The counter that `cycles` is measured in."""

    def __init__(self, addresses: Mapping[str, int], *, owner: object = None, pin: bool = False) -> None:
        """`addresses` by name of the native functions. With `pin`, workers that fill all processors get one each.

        Pinned workers wake up sooner, on a processor other than the caller's, but cannot move away from another busy
        process; so pinning is for machines that run nothing else.
        """
        self.run = _function(addresses["graphc_run"], ctypes.c_int32, ctypes.c_void_p)
        self.ticks = _function(addresses["graphc_ticks"], ctypes.c_int64)
        self._start = _function(addresses["graphc_pool_start"], ctypes.c_int32, ctypes.c_int32)
        self._enter = _function(addresses["graphc_worker"], None, ctypes.c_int32)
        self._stop = _function(addresses["graphc_pool_stop"], None)
        self._reset = _function(addresses["graphc_pool_reset"], None)
        self._owner = owner
        self._pin = pin
        self._forget()
        _pools.append(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._workers = 0
        self._threads: list[threading.Thread] = []

    @property
    def workers(self) -> int:
        """How many workers there are beside the callers."""
        return self._workers

    def ensure(self, threads: int) -> None:
        """Have workers for calls of that many threads, the caller included; cheap when they are there.

        Too few workers only cost time: a run never waits for one.
        """
        if self._workers < threads - 1:
            with self._lock, _signals_blocked():
                self._hire(threads)

    def _hire(self, threads: int) -> None:
        cpus = sorted(_affinity())
        pinned = self._pin and threads == len(cpus)
        while self._workers < threads - 1:
            index = self._workers
            with _placed({cpus[index + 1]} if pinned else None):
                made = self._start(index + 1)
                if made < 0:
                    self._enter_thread(index)
                elif made <= index:
                    LOG.warning("the system gave no thread for worker %d of %d; running with fewer", index, threads - 1)
                    return
            self._workers = index + 1

    def _enter_thread(self, index: int) -> None:
        thread = threading.Thread(target=self._enter, args=(index,), name=f"graphc-{index}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Send the workers home and wait until they are gone. Runs in progress go on; `ensure` starts anew."""
        with self._lock:
            self._stop()
            for thread in self._threads:
                thread.join()
            self._threads.clear()
            self._workers = 0

    def abandon(self) -> None:
        """In a forked child: the workers did not come along."""
        self._reset()
        self._forget()

    def run_interruptible(self, call: int) -> int:
        """`run` for calls so long that Ctrl-C must not wait for their end.

        The call runs on a thread of its own (about 50 us) while the main thread keeps handling signals. If a handler
        raises, the call is aborted before its update section, or else completed, and then the exception goes on: when
        this returns or raises, native code is out of the call's buffers.
        """
        if threading.current_thread() is not threading.main_thread():
            return self.run(call)
        statuses: list[int] = []
        finished = threading.Event()

        def run() -> None:
            try:
                statuses.append(self.run(call))
            finally:
                finished.set()

        try:
            _thread.start_new_thread(run, ())
            while not finished.wait(_POLL_S):
                pass
        except BaseException:
            abort = ctypes.c_int32.from_address(call + CALL.fields["abort"][1])  # type: ignore[index]
            abort.value = 1
            _wait_through_signals(finished)
            abort.value = 0
            raise
        return statuses[0]

    def ticks_per_second(self) -> float:
        """The rate of `ticks`, measured over 20 ms."""
        began, tick = time.perf_counter(), self.ticks()
        time.sleep(0.02)
        ticks, ended = self.ticks() - tick, time.perf_counter()
        return ticks / (ended - began)


def default_threads() -> int:
    """How many threads are worth having: the processors this process may run on, within its cgroup's quota."""
    return max(1, int(min(len(_affinity()), cpu_quota())))


# Pools are never freed: a worker may be spinning in their code, and freeing it under a running worker is a crash.
_pools: list[Pool] = []


def _stop_all() -> None:
    for pool in _pools:
        pool.stop()


def _abandon_all() -> None:
    for pool in _pools:
        pool.abandon()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def _function(address: int, result: Any, *arguments: Any) -> Callable[..., Any]:
    """The native function at an address; calling it releases the GIL."""
    return ctypes.CFUNCTYPE(result, *arguments)(address)


def _wait_through_signals(finished: threading.Event) -> None:
    """Wait whatever handlers raise: one exception is on its way already, and buffers are in use until the run is
    over."""
    while not finished.is_set():
        with suppress(BaseException):
            finished.wait(_POLL_S)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Threads made meanwhile leave signals to the others, so that Ctrl-C reaches a thread that can act on it.

    Signals that report a crash stay open: they belong to the thread that crashes.
    """
    crashes = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"}
    blocked = {number for number in signal.valid_signals() if getattr(number, "name", "") not in crashes}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _affinity() -> set[int]:
    """The processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


@contextmanager
def _placed(cpus: set[int] | None) -> Iterator[None]:
    """Threads made meanwhile run on `cpus` only: they inherit the affinity of the thread that makes them."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Processors' worth of time the cgroup grants (v2 with its ancestors, or v1); infinite without a limit."""
    quotas = [math.inf]
    try:
        paths = [line.split(":", 2)[2] for line in own.read_text().splitlines() if line.startswith("0::")]
        group = root / paths[0].strip("/") if paths else root
        for folder in (group, *group.parents):
            if folder.is_relative_to(root) and (folder / "cpu.max").exists():
                quotas.append(_ratio((folder / "cpu.max").read_text()))
        if (root / "cpu" / "cpu.cfs_quota_us").exists():
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quotas.append(_ratio(" ".join((root / "cpu" / name).read_text() for name in names)))
    except (OSError, ValueError) as error:
        LOG.debug("the cgroup's processor quota cannot be read: %s", error)
    return min(quotas)


def _ratio(text: str) -> float:
    quota, period = text.split()
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
