"""Executables: a program bound to memory. Checks the arrays of a call, points native code at them and runs it."""

from __future__ import annotations

import ctypes
import math
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.ir.changes import CHANGES
from graphc.ir.graph import Graph
from graphc.ir.plan import MemoryPlan
from graphc.ir.program import Program, Slot
from graphc.ir.types import DType, Rows, TensorType, concrete
from graphc.runtime.inspection import Compilation, KernelName, KernelSource
from graphc.runtime.memory import aligned_empty, available_bytes, data_address
from graphc.runtime.pool import ABORTED, CALL, Phase, Pool, pack_call, pack_phases

if TYPE_CHECKING:
    from graphc.runtime.profile import Profile, Recorder

Array = np.ndarray[Any, Any]

KEPT_BYTES = 1 << 20  # of a result: new memory for it would take as long as many a kernel, page by page
ALONE = 2  # references to an object that only its owner and the question refer to
INTERRUPTIBLE_SECONDS = 0.1  # calls that took longer run so that Ctrl-C need not wait for their end


class CheckError(ValueError):
    """A check of the program failed before anything was updated; `message` is the check's."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Executable:
    """A compiled program with its memory. Calls are serialised by a lock: any thread may call.

    `exe(x, y)` or `exe(x, labels=y)` takes arrays of exactly the declared types, in declaration order or by name, and
    returns the output, or the list of outputs if there are several. Inputs that count rows may be shorter than the
    compiled batch, all by the same number of rows. `state` maps the names of weights and state to the arrays native
    code reads and updates in place.
    """

    def __init__(
        self,
        program: Program,
        addresses: Mapping[str, int],
        pool: Pool,
        *,
        threads: int,
        bind: Mapping[str, Array] | None = None,
        keep: object = None,
        watched: bool = False,
        compilation: Compilation | None = None,
        analyse: Callable[[Path | None], Compilation] | None = None,
    ) -> None:
        """`bind` lends arrays for states by name (C-contiguous, of the exact type); the others start as zeros.

        `watched` promises that every change of the lent arrays is noted (`graphc.ir.changes`): then what depends on
        weights alone is computed again only after a change. `keep` is held as long as the executable: the owner of the
        native code. `compilation` is what the compiler found
        out; `analyse` finds it out again, dumping into a folder if one is given. MemoryError if the arena does not fit.
        """
        self.program, self.threads = program, threads
        self._compilation, self._analyse = compilation, analyse
        self._pool, self._keep, self._lock = pool, keep, threading.Lock()
        _expect_room(program, threads, bind or {})
        self.state = {slot.name: _bound(slot, (bind or {}).get(slot.name)) for slot in program.states}
        self._arena = aligned_empty((max(program.arena_bytes, 64),), np.dtype(np.uint8))
        stride = program.scratch_stride()
        self._scratch = aligned_empty((max(stride * threads, 64),), np.dtype(np.uint8))
        self._slots = [np.array(phase.slots or (0,), np.int32) for phase in program.phases]
        self._phases = pack_phases([self._packed(i, addresses) for i in range(len(program.phases))])
        self._ticks = np.zeros(max(len(program.phases), 1), np.uint64)
        self._table = (ctypes.c_uint64 * max(len(program.entries), 1))(*self._addresses())
        table = np.ctypeslib.as_array(self._table)
        self._call = pack_call(
            self._phases,
            table,
            rows=program.batch or 1,
            threads=threads,
            scratch=data_address(self._scratch),
            scratch_stride=stride,
        )
        self._address = data_address(self._call)
        self._rows = ctypes.c_int64.from_address(self._address + CALL.fields["rows"][1])  # type: ignore[index]
        self._inputs = [_Port(slot, self._entry("input", i)) for i, slot in enumerate(program.inputs)]
        self._outputs = [_Port(slot, self._entry("output", i)) for i, slot in enumerate(program.outputs)]
        self._watched, self._seen, self._skipped = watched and program.prepared > 0, -1, 0
        self._updates = any(phase.first_update for phase in program.phases)
        self._staging: dict[str, Array] = {}
        self._seconds = math.inf  # how long a call takes is not known
        _alive.add(self)

    def _packed(self, number: int, addresses: Mapping[str, int]) -> Phase:
        phase = self.program.phases[number]
        return Phase(
            kernel=addresses[phase.symbol],
            slots=self._slots[number].ctypes.data,
            per_row=0,
            fixed=phase.units,
            grain=phase.grain,
            first_update=phase.first_update,
            joint=phase.joint,
            check_slot=phase.check,
        )

    def _addresses(self) -> list[int]:
        homes = {"arena": [self._arena], "state": [*self.state.values()], "constant": self.program.constants}
        return [
            data_address(homes[e.place][e.index]) + e.offset if e.place in homes else 0 for e in self.program.entries
        ]

    def _entry(self, place: str, index: int) -> int:
        """The table entry of a border array, or -1 when no kernel touches it."""
        entries = self.program.entries
        return next((n for n, e in enumerate(entries) if e.place == place and e.index == index), -1)

    def run(self, inputs: Sequence[Array], rows: int | None = None) -> list[Array]:
        """One run on arrays of exactly the declared types; `rows` (default: all) of the batch are computed.

        ValueError or TypeError before anything runs if an array does not fit; CheckError if a check of the program
        failed, in which case nothing was updated.
        """
        batch = self.program.batch
        rows = batch if rows is None else rows
        if rows is not None and not 0 < rows <= (batch or 1):
            raise ValueError(f"{self.program.name}: rows must be in 1..{batch}, got {rows}")
        if len(inputs) != len(self._inputs):
            raise ValueError(f"{self.program.name} takes {len(self._inputs)} inputs, got {len(inputs)}")
        with self._lock:
            table = self._table
            is_short = rows != batch
            pairs = zip(self._inputs, inputs, strict=True)
            arrays = [self._staged(port, array, rows or 1) if is_short else port.accept(array) for port, array in pairs]
            for port, array in zip(self._inputs, arrays, strict=True):  # copies live in `arrays` until the run is over
                if port.entry >= 0:
                    table[port.entry] = data_address(array)
            results = [port.allocate() for port in self._outputs]
            for port, array in zip(self._outputs, results, strict=True):
                table[port.entry] = data_address(array)
            self._rows.value = rows or 1
            count = CHANGES.count
            if self._watched:
                self._skip(self.program.prepared if self._seen == count else 0)
                self._seen = -1  # until the run is over
            self._execute()
            if self._updates:
                CHANGES.note()
            self._seen = count + self._updates
        return [port.cut(a, rows or 1) for port, a in zip(self._outputs, results, strict=True)] if is_short else results

    def __call__(self, *arrays: Array, **named: Array) -> Array | list[Array]:
        """See the class. ValueError, TypeError and CheckError as from `run`."""
        inputs = self._ordered(arrays, named) if named or len(arrays) != len(self._inputs) else arrays
        results = self.run(inputs, self._rows_in(inputs))
        return results[0] if len(results) == 1 else results

    def _ordered(self, arrays: Sequence[Array], named: Mapping[str, Array]) -> list[Array]:
        """The inputs in declaration order. TypeError if one is missing, given twice or unknown."""
        names = [port.name for port in self._inputs]
        given = {**dict(zip(names, arrays, strict=False)), **named}
        if len(given) != len(arrays) + len(named) or set(given) != set(names):
            got = [f"{len(arrays)} by position", *named] if arrays else list(named)
            raise TypeError(f"{self.program.name} takes the inputs {', '.join(names)}; got {', '.join(got) or 'none'}")
        return [given[name] for name in names]

    def _rows_in(self, inputs: Sequence[Array]) -> int | None:
        """How many rows the inputs have, by the first that counts them; `run` finds out whether they agree."""
        for port, array in zip(self._inputs, inputs, strict=True):
            if port.has_rows and isinstance(array, np.ndarray) and array.ndim:
                return len(array) // port.per
        return None

    def _skip(self, phases: int) -> None:
        """The next run begins behind so many phases."""
        if phases == self._skipped:
            return
        self._call["phases"] = self._phases.ctypes.data + phases * self._phases.itemsize
        self._call["n_phases"] = len(self._phases) - phases
        self._skipped = phases

    def _execute(self) -> None:
        self._pool.ensure(self.threads)  # a forked child has none yet
        run = self._pool.run if self._seconds < INTERRUPTIBLE_SECONDS else self._pool.run_interruptible
        began = time.perf_counter()
        status = run(self._address)
        self._seconds = time.perf_counter() - began
        if status > 0:
            raise CheckError(self.program.phases[status - 1 + self._skipped].message)
        if status == ABORTED:
            raise KeyboardInterrupt

    # Measurement

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Counts the ticks of every kernel of the runs made inside the block, by whom ever; failed runs are left out.

        RuntimeError if somebody is recording already. Outside of the block nothing is measured and nothing costs.
        """
        from graphc.runtime.profile import Recorder  # a run that is not measured needs none of it

        recorder = Recorder(len(self.program.phases))
        with self._lock:
            if "_execute" in vars(self):
                raise RuntimeError(f"{self.program.name} is being recorded already")
            vars(self)["_execute"] = lambda: self._recorded(recorder)
            self._call["cycles"] = self._ticks.ctypes.data
        try:
            yield recorder
        finally:
            with self._lock:
                del vars(self)["_execute"]
                self._call["cycles"] = 0

    def _recorded(self, recorder: Recorder) -> None:
        self._ticks.fill(0)
        self._call["cycles"] = self._ticks.ctypes.data + self._skipped * self._ticks.itemsize
        began = time.perf_counter()
        Executable._execute(self)
        recorder.add(began, time.perf_counter(), self._ticks.copy())

    def profiled(self, recorder: Recorder) -> Profile:
        """What was recorded, kernel by kernel."""
        from graphc.runtime.profile import Profile

        graph = self.compilation.plan.graph
        return Profile(self.program, graph, recorder.runs(), self._pool.ticks_per_second())

    def profile(self, runs: int = 10, inputs: Sequence[Array] | None = None) -> Profile:
        """Measures `runs` runs after one that warms up, on these inputs or on random ones (floats normal, integers 0
        and 1). Weights and states are as before when it is over. Errors as from `run`.
        """
        arrays = _random_arrays(self.program.inputs) if inputs is None else inputs
        kept = {name: array.copy() for name, array in self.state.items()}
        try:
            self.run(arrays)
            with self.recording() as recorder:
                for _ in range(runs):
                    self.run(arrays)
        finally:
            for name, array in kept.items():
                self.state[name][...] = array
            CHANGES.note()
        return self.profiled(recorder)

    def _staged(self, port: _Port, array: Array, rows: int) -> Array:
        """A short batch in an array of full size: kernels may read, never use, rows past the last."""
        if not port.has_rows:
            return port.accept(array)
        port.check_short(array, rows)
        staging = self._staging.get(port.name)
        if staging is None:
            staging = self._staging[port.name] = aligned_empty(port.shape, port.dtype)
            staging.fill(0)
        staging[: len(array)] = array
        return staging

    # What was compiled

    @property
    def compilation(self) -> Compilation:
        """What the compiler found out; found out again if this executable came from the cache."""
        if self._compilation is None:
            self._compilation = self._again(None)
        return self._compilation

    @property
    def known_compilation(self) -> Compilation | None:
        """What the compiler found out, or None if the executable came from the cache and nobody has asked."""
        return self._compilation

    def _again(self, dump: Path | None) -> Compilation:
        if self._analyse is None:
            raise ValueError(f"{self.program.name} was made without its graph: there is nothing to show")
        return self._analyse(dump)

    def graph(self, stage: str | int = "fused") -> Graph:
        """The graph after a stage: "source", a pass by name or number, "fused" or "planned"; `str` gives its text."""
        return self.compilation.graph(stage)

    @property
    def kernels(self) -> list[KernelName]:
        """The names of the kernels in order of first use; `.computes` of a name says what for."""
        return [KernelName(kernel.name, kernel.computes) for kernel in self.compilation.kernels.values()]

    def kernel(self, name: str) -> KernelSource:
        """One kernel: `.loops`, `.llvm` and `.asm` are its texts."""
        return self.compilation.kernel(name)

    @property
    def memory_plan(self) -> MemoryPlan:
        """Where every value lives; `str` gives the table with the totals."""
        return self.compilation.plan

    def dump(self, folder: str | Path) -> Path:
        """Compiles again and writes every stage, kernel and the memory plan into a new folder `NNN-model-mode` in
        `folder`, which is returned."""
        written = self._again(Path(folder)).folder
        assert written is not None
        return written

    @property
    def interface(self) -> str:
        """Name, inputs and outputs with their types."""
        program = self.program
        ins, outs = (", ".join(map(_slot_text, slots)) for slots in (program.inputs, program.outputs))
        return f"{program.name}({ins}) -> {outs or 'nothing'}"

    def _repr_html_(self) -> str:
        from graphc.ir.picture import plan_svg, text_html

        kernels = "\n".join(f"{name}: {name.computes}" for name in self.kernels)
        return f"{text_html(repr(self))}{text_html(kernels)}{plan_svg(self.memory_plan)}"

    def __repr__(self) -> str:
        return f"<executable {self.interface}; weights and states: {len(self.state)}>"


class _Port:
    """A data input or an output: its type and its table entry."""

    __slots__ = ("_last", "dtype", "entry", "has_rows", "is_large", "name", "per", "shape", "slot")

    def __init__(self, slot: Slot, entry: int) -> None:
        self.slot, self.entry, self.name = slot, entry, slot.name
        self.shape, self.dtype = concrete(slot.shape), slot.dtype.numpy
        first = slot.shape[0] if slot.shape else None
        self.has_rows = isinstance(first, Rows)
        self.per = first.per if isinstance(first, Rows) else 1
        self.is_large = math.prod(self.shape) * self.dtype.itemsize >= KEPT_BYTES
        self._last: Array | None = None

    def accept(self, array: Array) -> Array:
        """The array itself if native code can read it as it is, a copy if only its layout is odd; errors otherwise."""
        if not isinstance(array, np.ndarray):
            raise TypeError(f"input {self.name!r}: expected a numpy array, got {type(array).__name__}")
        if array.shape != self.shape:
            raise ValueError(f"input {self.name!r}: expected shape {self.shape}, got {array.shape}")
        return self._layout(array)

    def check_short(self, array: Array, rows: int) -> None:
        wanted = (rows * self.per, *self.shape[1:])
        if not isinstance(array, np.ndarray) or array.shape != wanted:
            raise ValueError(
                f"input {self.name!r}: expected shape {wanted}, got {getattr(array, 'shape', type(array))}"
            )
        self._layout(array)

    def _layout(self, array: Array) -> Array:
        if array.dtype is self.dtype or array.dtype == self.dtype:
            flags = array.flags
            if flags.c_contiguous and flags.aligned:
                return array
        elif array.dtype.newbyteorder("=") != self.dtype:
            raise TypeError(f"input {self.name!r}: expected dtype {self.dtype}, got {array.dtype}")
        return np.ascontiguousarray(array, self.dtype)

    def allocate(self) -> Array:
        """An array for a result. The memory of a large one is given out again as soon as nobody holds the last array or
        a part of it: every such array refers to the one kept here, as its base."""
        if not self.is_large:
            return np.empty(self.shape, self.dtype)
        if self._last is None or sys.getrefcount(self._last) > ALONE:
            self._last = np.empty(self.shape, self.dtype)
        return self._last.view()

    def cut(self, array: Array, rows: int) -> Array:
        return array[: rows * self.per] if self.has_rows else array


_alive: weakref.WeakSet[Executable] = weakref.WeakSet()


def _renew_locks() -> None:
    """In a forked child: a thread that held a lock did not come along."""
    for executable in _alive:
        executable._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _slot_text(slot: Slot) -> str:
    return f"{slot.name}: {TensorType(slot.shape, slot.dtype)}"


def _bound(slot: Slot, array: Array | None) -> Array:
    shape, dtype = concrete(slot.shape), slot.dtype.numpy
    if array is None:
        array = aligned_empty(shape, dtype)
        array.fill(0)
        return array
    if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous or not array.flags.writeable:
        got = f"{array.dtype}{list(array.shape)}"
        raise ValueError(f"state {slot.name!r}: expected a writable C-contiguous {dtype}{list(shape)}, got {got}")
    return array


def _random_arrays(slots: Sequence[Slot]) -> list[Array]:
    """Arrays to measure with: small integers, since they may be class numbers or ids."""
    rng = np.random.default_rng(0)
    return [_random(rng, concrete(slot.shape), slot.dtype) for slot in slots]


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    numbers = rng.standard_normal(shape, np.float32) if dtype.is_float else rng.integers(0, 1, shape, endpoint=True)
    return np.asarray(numbers).astype(dtype.numpy)


def _expect_room(program: Program, threads: int, bound: Mapping[str, Array]) -> None:
    """MemoryError if a run needs more than there is: the system would promise it all the same, and end the process
    when the memory is used."""
    slots = (*program.outputs, *(slot for slot in program.states if slot.name not in bound))
    nbytes = sum(TensorType(slot.shape, slot.dtype).nbytes for slot in slots)
    nbytes += program.arena_bytes + threads * program.scratch_stride()
    if nbytes > (available := available_bytes()):
        what = f"{program.name} needs {nbytes:,} bytes, {available:,.0f} are available"
        raise MemoryError(f"{what}; a smaller batch or smaller layers need less")
