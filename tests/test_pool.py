"""The native thread pool and the two things it stands on: target descriptions and the door to LLVM."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from codegen import pool as native
from codegen.jit import LoadedCode, assembly, compile_object, compile_objects
from codegen.target import NAMED, host_target, named_target
from graphc.runtime import pool as runtime
from graphc.runtime.pool import ABORTED, Phase, Pool, cpu_quota, default_threads, pack_call, pack_phases

pytestmark = pytest.mark.skipif(platform.system() == "Windows", reason="the pool has no code for Windows")

HOST = host_target()
ROOT = Path(__file__).parents[1]
THREADS = (1, 2, 3, 8)

PRELUDE = """
define internal ptr @operand(ptr %table, ptr %slots, i64 %which) {
  %at = getelementptr i32, ptr %slots, i64 %which
  %slot = load i32, ptr %at
  %cell = getelementptr ptr, ptr %table, i32 %slot
  %buffer = load ptr, ptr %cell
  ret ptr %buffer
}
"""


def kernel(name: str, body: str) -> str:
    """A kernel that runs `body` for every unit %i, with its first two operands in %a and %b."""
    return f"""
define void @{name}(ptr %table, ptr %slots, i64 %begin, i64 %end, i64 %rows, ptr %scratch) {{
entry:
  %a = call ptr @operand(ptr %table, ptr %slots, i64 0)
  %b = call ptr @operand(ptr %table, ptr %slots, i64 1)
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %i.next, %tail ]
{textwrap.indent(textwrap.dedent(body).strip(), "  ")}
  br label %tail
tail:
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


KERNELS = PRELUDE + "".join(
    [
        kernel(
            "count",
            """
            %cell = getelementptr i32, ptr %a, i64 %i
            %old = atomicrmw add ptr %cell, i32 1 monotonic
            """,
        ),
        kernel(
            "bounds",
            """
            %cell = getelementptr [2 x i64], ptr %a, i64 %i
            store i64 %begin, ptr %cell
            %second = getelementptr i64, ptr %cell, i64 1
            store i64 %end, ptr %second
            """,
        ),
        # a[i] = the address of the scratch, after a moment in which other threads may come
        kernel(
            "scratch",
            """
            %cell = getelementptr i64, ptr %a, i64 %i
            br label %spin
            spin:
            %k = phi i64 [ 0, %loop ], [ %k.next, %spin ]
            %x = load volatile i64, ptr %cell
            %k.next = add i64 %k, 1
            %again = icmp slt i64 %k.next, 300
            br i1 %again, label %spin, label %store
            store:
            %address = ptrtoint ptr %scratch to i64
            store i64 %address, ptr %cell
            """,
        ),
        # b[i] = sum of a[100 i : 100 i + 100], added in order
        kernel(
            "partial",
            """
            %first = mul i64 %i, 100
            %row = getelementptr float, ptr %a, i64 %first
            br label %add
            add:
            %k = phi i64 [ 0, %loop ], [ %k.next, %add ]
            %sum = phi float [ 0.0, %loop ], [ %sum.next, %add ]
            %at = getelementptr float, ptr %row, i64 %k
            %x = load float, ptr %at
            %sum.next = fadd float %sum, %x
            %k.next = add i64 %k, 1
            %again = icmp slt i64 %k.next, 100
            br i1 %again, label %add, label %store
            store:
            %cell = getelementptr float, ptr %b, i64 %i
            store float %sum.next, ptr %cell
            """,
        ),
        # a[i] = a[i] / 3 + b[0]
        kernel(
            "blend",
            """
            %cell = getelementptr float, ptr %a, i64 %i
            %x = load float, ptr %cell
            %y = load float, ptr %b
            %third = fdiv float %x, 3.0
            %z = fadd float %third, %y
            store float %z, ptr %cell
            """,
        ),
        # a[i] = b[0] * b[0], a denormal that a flushing mode would make 0
        kernel(
            "denormal",
            """
            %cell = getelementptr float, ptr %a, i64 %i
            %x = load volatile float, ptr %b
            %y = fmul float %x, %x
            store float %y, ptr %cell
            """,
        ),
        # a[0] = 1 at unit 777
        kernel(
            "raise_flag",
            """
            %bad = icmp eq i64 %i, 777
            br i1 %bad, label %set, label %go
            set:
            store atomic i32 1, ptr %a monotonic, align 4
            br label %go
            go:
            """,
        ),
        # about a microsecond of work a unit, then count
        kernel(
            "slow",
            """
            br label %spin
            spin:
            %k = phi i64 [ 0, %loop ], [ %k.next, %spin ]
            %x = load volatile i32, ptr %b
            %k.next = add i64 %k, 1
            %again = icmp slt i64 %k.next, 1000
            br i1 %again, label %spin, label %store
            store:
            %cell = getelementptr i32, ptr %a, i64 %i
            %old = atomicrmw add ptr %cell, i32 1 monotonic
            """,
        ),
    ]
)
"""Kernels for the tests; the second operand is 0 where a kernel has none."""


class Program:
    """Buffers, phases over them and a packed call, kept alive together."""

    def __init__(self, kernels: LoadedCode, buffers: list[np.ndarray], rows: int = 1) -> None:
        self.kernels, self.buffers, self.rows = kernels, buffers, rows
        self.phases: list[Phase] = []
        self.slots: list[np.ndarray] = []

    def add(
        self, name: str, *operands: int, per_row: int = 0, fixed: int = 0, grain: int = 1, **options: bool | int
    ) -> Program:
        slots = np.array((*operands, 0, 0)[:2], dtype=np.int32)
        self.slots.append(slots)
        address = self.kernels.address(name)
        self.phases.append(Phase(address, slots.ctypes.data, per_row, fixed, grain, **options))  # type: ignore[arg-type]
        return self

    def pack(self, threads: int, *, stride: int = 0, profile: bool = False) -> int:
        self.table = np.array([buffer.ctypes.data for buffer in self.buffers], dtype=np.uint64)
        self.packed = pack_phases(self.phases)
        self.cycles = np.zeros(len(self.phases), dtype=np.uint64) if profile else None
        self.scratch = np.zeros(max(1, stride * threads), dtype=np.uint8)
        self.call = pack_call(
            self.packed,
            self.table,
            rows=self.rows,
            threads=threads,
            scratch=self.scratch.ctypes.data,
            scratch_stride=stride,
            cycles=self.cycles,
        )
        return int(self.call.ctypes.data)


@pytest.fixture(scope="module")
def kernels() -> LoadedCode:
    return LoadedCode([compile_object(KERNELS, HOST)], HOST)


@pytest.fixture(scope="module", params=[False, True], ids=["native", "portable"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A pool with seven workers, on threads of its own or on Python's."""
    made = new_pool(portable=request.param)
    made.ensure(8)
    yield made
    made.stop()


def new_pool(*, portable: bool = False, pin: bool = False) -> Pool:
    library = LoadedCode([compile_object(native.pool_ir(HOST, portable=portable), HOST)], HOST)
    return Pool({name: library.address(name) for name in native.EXPORTS}, owner=library, pin=pin)


def zeros(n: int) -> np.ndarray:
    return np.zeros(n, dtype=np.int32)


# The pool.


def test_layouts_agree() -> None:
    sizes = {"ptr": 8, "i64": 8, "i32": 4}
    for fields, dtype in ((native.CALL, runtime.CALL), (native.PHASE, runtime.PHASE)):
        assert tuple(fields) == dtype.names
        assert [sizes[kind] for kind in fields.values()] == [dtype[name].itemsize for name in fields]
        assert dtype.itemsize == sum(sizes[kind] for kind in fields.values())


def test_every_unit_runs_exactly_once_in_random_programs(pool: Pool, kernels: LoadedCode) -> None:
    rng = random.Random(20240607)
    for _ in range(1500):
        program, extents = random_program(rng, kernels)
        assert pool.run(program.pack(rng.choice((1, 2, 3, 5, 8)), profile=rng.random() < 0.3)) == 0
        for buffer, extent in zip(program.buffers, extents, strict=True):
            assert (buffer[:extent] == 1).all() and (buffer[extent:] == 0).all()


def random_program(rng: random.Random, kernels: LoadedCode) -> tuple[Program, list[int]]:
    rows, extents = rng.randrange(0, 40), []
    program = Program(kernels, [], rows)
    for slot in range(rng.randrange(1, 7)):
        per_row, fixed = rng.choice((0, 1, 7)), rng.choice((0, 1, 31, 64, 300))
        extents.append(per_row * rows + fixed)
        program.buffers.append(zeros(extents[-1] + 3))
        grain = rng.choice((1, 2, 5, 16, 1000))
        kind = dict(serial=rng.random() < 0.2, joint=rng.random() < 0.4)
        program.add("count", slot, per_row=per_row, fixed=fixed, grain=grain, **kind)
    return program, extents


@pytest.mark.parametrize("threads", THREADS)
def test_chunk_bounds_depend_on_extent_and_grain_alone(pool: Pool, kernels: LoadedCode, threads: int) -> None:
    bounds = np.zeros((1003, 2), dtype=np.int64)
    program = Program(kernels, [bounds], rows=100).add("bounds", 0, per_row=10, fixed=3, grain=17)
    assert pool.run(program.pack(threads)) == 0
    begin = np.arange(1003) // 17 * 17
    np.testing.assert_array_equal(bounds, np.stack([begin, np.minimum(begin + 17, 1003)], axis=1))


@pytest.mark.parametrize("threads", THREADS)
def test_a_thread_takes_its_share_of_a_joint_phase_at_once(pool: Pool, kernels: LoadedCode, threads: int) -> None:
    """A third, say, of the chunks that are left, so that calls depend on the number of threads and on nothing else."""
    bounds = np.zeros((1003, 2), dtype=np.int64)
    program = Program(kernels, [bounds]).add("bounds", 0, fixed=1003, grain=17, joint=True)
    assert pool.run(program.pack(threads)) == 0
    expected, left, begin = np.zeros_like(bounds), -(-1003 // 17), 0
    while left:
        share = max(1, left // threads)
        end = min(begin + 17 * share, 1003)
        expected[begin:end] = begin, end
        begin, left = end, left - share
    np.testing.assert_array_equal(bounds, expected)


def test_bits_do_not_depend_on_the_thread_count(pool: Pool, kernels: LoadedCode) -> None:
    start = np.random.default_rng(5).normal(size=20_000).astype(np.float32)
    results = []
    for threads in (1, 1, 2, 3, 4, 5, 6, 7, 8):
        values, sums, total = start.copy(), np.zeros(200, np.float32), np.zeros(100, np.float32)
        program = Program(kernels, [values, sums, total])
        for _ in range(10):
            program.add("partial", 0, 1, fixed=200, grain=3)
            program.add("partial", 1, 2, fixed=2, grain=1, serial=True)
            program.add("blend", 0, 2, fixed=20_000, grain=512)
        assert pool.run(program.pack(threads)) == 0
        results.append(values.tobytes())
    assert len(set(results)) == 1 and results[0] != start.tobytes()


@pytest.mark.parametrize("threads", THREADS)
def test_a_thread_keeps_to_its_own_scratch(pool: Pool, kernels: LoadedCode, threads: int) -> None:
    """And no more than `threads` threads take part, also when all seven workers have just been called up."""
    addresses = np.zeros(20_000, dtype=np.uint64)
    program = Program(kernels, [addresses]).add("scratch", 0, fixed=20_000, grain=1)
    call = program.pack(threads, stride=4096)
    everybody = Program(kernels, [zeros(64)]).add("count", 0, fixed=64)
    everybody_call = everybody.pack(8)
    for _ in range(20):
        assert pool.run(everybody_call) == 0
        assert pool.run(call) == 0
        offsets = addresses - np.uint64(program.scratch.ctypes.data)
        assert set(offsets // 4096) <= set(range(threads)) and not (offsets % 4096).any()


def test_workers_take_part(pool: Pool, kernels: LoadedCode) -> None:
    assert has_help(pool, kernels)


def has_help(pool: Pool, kernels: LoadedCode, seconds: float = 20) -> bool:
    """Whether a worker turns up within that time."""
    addresses = np.zeros(1000, dtype=np.uint64)
    call = (program := Program(kernels, [addresses]).add("scratch", 0, fixed=1000, grain=1)).pack(2, stride=64)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert pool.run(call) == 0
        if (addresses != program.scratch.ctypes.data).any():
            return True
    return False


def test_concurrent_callers_all_get_their_results(pool: Pool, kernels: LoadedCode) -> None:
    wrong: list[object] = []

    def caller(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(150):
            program, extents = random_program(rng, kernels)
            status = pool.run(program.pack(8))
            counts = [(buffer[:n] == 1).all() for buffer, n in zip(program.buffers, extents, strict=True)]
            if status or not all(counts):
                wrong.append((seed, status, counts))

    callers = [threading.Thread(target=caller, args=(seed,)) for seed in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(60)
    assert not any(thread.is_alive() for thread in callers) and not wrong


@pytest.mark.parametrize("threads", THREADS)
def test_a_failed_check_stops_the_run_after_its_phase(pool: Pool, kernels: LoadedCode, threads: int) -> None:
    flag, checked, later = zeros(1), zeros(1), zeros(10)
    program = Program(kernels, [flag, checked, later])
    program.add("count", 2, fixed=5, check_slot=1)
    program.add("raise_flag", 0, fixed=2000, grain=10, check_slot=0)
    program.add("count", 2, fixed=10, first_update=True)
    assert pool.run(program.pack(threads)) == 2
    assert flag[0] == 1 and later.tolist() == [1] * 5 + [0] * 5


@pytest.mark.parametrize("threads", THREADS)
def test_an_abort_is_honoured_until_the_update_section_and_no_later(
    pool: Pool, kernels: LoadedCode, threads: int
) -> None:
    """The kernel `raise_flag` plays the main thread: its operand is the abort word of the running call."""
    for section, status, updated in (("before", ABORTED, 0), ("inside", 0, 1)):
        abort, weights = zeros(1), zeros(50)
        program = Program(kernels, [abort, weights])
        if section == "inside":
            program.add("count", 1, fixed=50, first_update=True)
        program.add("raise_flag", 0, fixed=1000, grain=100)
        if section == "before":
            program.add("count", 1, fixed=50, first_update=True)
        else:
            program.add("count", 1, fixed=25)
        call = program.pack(threads)
        program.table[0] = call + runtime.CALL.fields["abort"][1]  # type: ignore[index]
        assert pool.run(call) == status
        assert program.call["abort"][0] == 1
        assert weights[0] == 2 * updated and weights[49] == updated


def test_an_abort_before_the_start_runs_nothing(pool: Pool, kernels: LoadedCode) -> None:
    counts = zeros(100)
    program = Program(kernels, [counts]).add("count", 0, fixed=100)
    call = program.pack(4)
    program.call["abort"] = 1
    assert pool.run(call) == ABORTED and not counts.any()


def test_cycles_are_added_per_phase(pool: Pool, kernels: LoadedCode) -> None:
    program = Program(kernels, [zeros(2000)]).add("slow", 0, fixed=2000, grain=500).add("count", 0, fixed=1)
    call = program.pack(2, profile=True)
    assert program.cycles is not None
    pool.run(call)
    first = program.cycles.copy()
    pool.run(call)
    assert (first > 0).all() and (program.cycles > first).all() and first[0] > first[1]
    assert 1e6 < pool.ticks_per_second() < 1e11


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="sets MXCSR")
def test_denormals_are_kept_whatever_the_caller_has_set(pool: Pool, kernels: LoadedCode) -> None:
    """Flush-to-zero in the calling thread neither reaches the kernels nor is lost to the caller."""
    modes = LoadedCode([compile_object(MODE, HOST)], HOST)
    exchange = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)(modes.address("exchange_mode"))
    tiny, results = np.full(1, 1e-20, np.float32), np.zeros(2000, np.float32)
    program = Program(kernels, [results, tiny]).add("denormal", 0, 1, fixed=2000, grain=3)
    call = program.pack(4)
    flushing = 0x9FC0
    before = exchange(flushing)
    status = pool.run(call)
    after = exchange(before)
    assert status == 0 and after == flushing
    assert (results > 0).all()


MODE = """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
define i32 @exchange_mode(i32 %new) {
  %cell = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cell)
  %old = load i32, ptr %cell
  store i32 %new, ptr %cell
  call void @llvm.x86.sse.ldmxcsr(ptr %cell)
  ret i32 %old
}
"""


def test_parked_workers_wake_up(pool: Pool, kernels: LoadedCode) -> None:
    work = zeros(3000)
    program = Program(kernels, [work]).add("slow", 0, fixed=3000, grain=100)
    call = program.pack(8)
    for runs in range(1, 40):
        time.sleep(0.004)
        assert pool.run(call) == 0
        assert (work == runs).all()


def test_stop_and_start_again(kernels: LoadedCode) -> None:
    for portable in (False, True):
        cycled = new_pool(portable=portable)
        counts = zeros(1000)
        call = Program(kernels, [counts]).add("count", 0, fixed=1000, grain=9)
        address = call.pack(4)
        for runs in range(1, 40):
            cycled.ensure(runs % 5)
            assert cycled.workers >= runs % 5 - 1
            assert cycled.run(address) == 0 and (counts == runs).all()
            if runs % 3 == 0:
                cycled.stop()
                assert cycled.workers == 0
        cycled.stop()


def test_stop_during_a_run(kernels: LoadedCode) -> None:
    stopped = new_pool()
    stopped.ensure(4)
    work = zeros(200_000)
    program = Program(kernels, [work]).add("slow", 0, fixed=200_000, grain=50)
    call = program.pack(4)
    runner = threading.Thread(target=stopped.run, args=(call,))
    runner.start()
    time.sleep(0.02)
    stopped.stop()
    runner.join(60)
    assert not runner.is_alive() and (work == 1).all()


def test_pinned_workers_compute_the_same(kernels: LoadedCode) -> None:
    pinned = new_pool(pin=True)
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pinned.ensure(default_threads())
    counts = zeros(5000)
    program = Program(kernels, [counts]).add("count", 0, fixed=5000, grain=11)
    assert pinned.run(program.pack(default_threads())) == 0 and (counts == 1).all()
    assert before is None or os.sched_getaffinity(0) == before
    pinned.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_forked_child_has_a_working_pool(pool: Pool, kernels: LoadedCode, busy: bool) -> None:
    """Also when another thread of the parent owned the workers at the moment of the fork."""
    work, counts = zeros(300_000), zeros(3000)
    long_call = Program(kernels, [work])
    long_call.add("slow", 0, fixed=300_000 if busy else 1, grain=100)
    address = long_call.pack(3)
    owner = threading.Thread(target=pool.run, args=(address,))
    owner.start()
    time.sleep(0.02)
    program = Program(kernels, [counts]).add("count", 0, fixed=3000, grain=7)
    call = program.pack(4)
    child = os.fork()
    if child == 0:
        os._exit(run_in_child(pool, kernels, call, counts))
    assert wait_for(child) == 0
    owner.join(60)
    assert (work[: 300_000 if busy else 1] == 1).all() and not counts.any()
    assert pool.run(call) == 0 and (counts == 1).all()


def run_in_child(pool: Pool, kernels: LoadedCode, call: int, counts: np.ndarray) -> int:
    """0 if runs are right without workers, with new workers, and after a stop."""
    if pool.workers != 0:
        return 2
    for runs, prepare in enumerate((lambda: None, lambda: pool.ensure(4), pool.stop), start=1):
        prepare()
        if pool.run(call) != 0 or not (counts == runs).all():
            return 2 + runs
    pool.ensure(4)
    return 0 if has_help(pool, kernels, 10) else 6


def wait_for(child: int, seconds: float = 20) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")


class Interrupt(Exception):
    """What the alarm handler of the tests raises."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def interrupt(number: int, frame: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_interrupted_run_updates_nothing_and_the_next_one_works(
    pool: Pool, kernels: LoadedCode, alarm: None
) -> None:
    work, weights = zeros(1000), zeros(100)
    program = Program(kernels, [work, weights])
    for _ in range(3000):
        program.add("slow", 0, fixed=1000, grain=100)
    program.add("count", 1, fixed=100, grain=10, first_update=True)
    call = program.pack(2)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    began = time.monotonic()
    with pytest.raises(Interrupt):
        pool.run_interruptible(call)
    assert time.monotonic() - began < 2, "an interrupt must not wait for the end of the call"
    assert work.any() and not weights.any() and program.call["abort"][0] == 0
    settled = work.copy()
    time.sleep(0.02)
    np.testing.assert_array_equal(work, settled, "native code went on after the exception")
    program.call["n_phases"] = 1
    assert pool.run_interruptible(call) == 0


def test_an_uninterrupted_run_returns_its_status(pool: Pool, kernels: LoadedCode) -> None:
    counts = zeros(100)
    program = Program(kernels, [counts]).add("count", 0, fixed=100, check_slot=0)
    assert pool.run_interruptible(program.pack(2)) == 1 and (counts == 1).all()


def test_results_are_right_while_other_processes_want_the_cores(pool: Pool, kernels: LoadedCode) -> None:
    spin = "import time\nend = time.monotonic() + 1.0\nwhile time.monotonic() < end: pass"
    hogs = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(os.cpu_count() or 1)]
    rng, end = random.Random(3), time.monotonic() + 1.0
    while time.monotonic() < end:
        program, extents = random_program(rng, kernels)
        assert pool.run(program.pack(rng.choice((2, 4, 8)))) == 0
        for buffer, extent in zip(program.buffers, extents, strict=True):
            assert (buffer[:extent] == 1).all()
    assert [hog.wait(20) for hog in hogs] == [0] * len(hogs)


@pytest.mark.parametrize("portable", [False, True], ids=["native", "portable"])
def test_the_interpreter_exits_cleanly_while_workers_spin(portable: bool) -> None:
    script = f"""
        import numpy as np
        from codegen import pool as native
        from codegen.jit import LoadedCode, compile_object
        from codegen.target import host_target
        from graphc.runtime.pool import Phase, Pool, pack_call, pack_phases

        host = host_target()
        library = LoadedCode([compile_object(native.pool_ir(host, portable={portable}), host)], host)
        empty = "define void @k(ptr %t, ptr %s, i64 %b, i64 %e, i64 %r, ptr %x) {{ ret void }}"
        kernels = LoadedCode([compile_object(empty, host)], host)
        pool = Pool({{name: library.address(name) for name in native.EXPORTS}}, owner=library)
        phases = pack_phases([Phase(kernels.address("k"), 0, 0, 100, 1)])
        table = np.zeros(1, np.uint64)
        call = pack_call(phases, table, rows=1, threads=4)
        pool.ensure(4)
        for _ in range(100):
            assert pool.run(call.ctypes.data) == 0
        del pool, library
    """
    command = [sys.executable, "-X", "dev", "-c", textwrap.dedent(script)]
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_default_threads_stays_within_the_affinity() -> None:
    assert 1 <= default_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, math.inf),
        ({"cpu.max": "max 100000"}, math.inf),
        ({"cpu.max": "250000 100000"}, 2.5),
        ({"cpu.max": "400000 100000", "a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ({"cpu.max": "nonsense"}, math.inf),
    ],
)
def test_the_smallest_quota_of_the_control_groups_counts(
    tmp_path: Path, files: dict[str, str], expected: float
) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    own.write_text("0::/a/b\n")
    assert cpu_quota(root, own) == expected


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4", "neoverse-v1", "apple-m1"])
@pytest.mark.parametrize("portable", [False, True])
def test_the_pool_compiles_for_other_processors(name: str, portable: bool) -> None:
    target = named_target(name)
    assert compile_object(native.pool_ir(target, portable=portable), target)


# Targets and the door to LLVM.


def test_named_targets() -> None:
    shapes = {name: (t.vector_bytes, t.registers, t.fma, t.can_mask) for name in NAMED for t in [named_target(name)]}
    assert shapes["x86-64-v2"] == (16, 16, False, False)
    assert shapes["x86-64-v3"] == (32, 16, True, True)
    assert shapes["x86-64-v4"] == (64, 32, True, True)
    assert shapes["apple-m1"] == shapes["neoverse-v1"] == (16, 32, True, False)
    assert (named_target("x86-64-v4").lanes(4), named_target("x86-64-v3").lanes(8)) == (16, 4)
    assert (named_target("apple-m1").arch, named_target("apple-m1").os) == ("aarch64", "darwin")


def test_only_code_for_this_processor_is_runnable() -> None:
    assert named_target("host") is HOST and HOST.is_host_runnable
    runnable = {named_target(name).arch for name in NAMED if named_target(name).is_host_runnable}
    assert runnable <= {HOST.arch}
    foreign = named_target("x86-64-v2" if HOST.arch == "aarch64" else "neoverse-v1")
    with pytest.raises(ValueError, match="cannot be loaded here"):
        LoadedCode([compile_object("define void @f() { ret void }", foreign)], foreign)


def test_an_unknown_target_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown target 'x86-64-v9'; known targets: host, x86-64-v2, x86-64-v3"):
        named_target("x86-64-v9")


def test_objects_do_not_depend_on_the_number_of_compiling_threads() -> None:
    texts = [KERNELS.replace("@count", f"@count{i}") for i in range(6)]
    serial = compile_objects(texts, HOST, 1)
    assert all(compile_objects(texts, HOST, threads) == serial for threads in (2, 4, 2, 8))
    assert len(set(serial)) == len(texts)


def test_malformed_text_raises_with_the_line() -> None:
    with pytest.raises(RuntimeError, match=r"2:7: error: value doesn't match function result type"):
        compile_object("define i32 @f() {\n  ret i64 0\n}", HOST)


def test_an_unknown_symbol_raises(kernels: LoadedCode) -> None:
    with pytest.raises(RuntimeError, match="'no_such_kernel' cannot be linked: Symbols not found"):
        kernels.address("no_such_kernel")


def test_an_unresolved_external_raises() -> None:
    text = "declare void @exists_nowhere()\ndefine void @f() {\n  call void @exists_nowhere()\n  ret void\n}"
    with (
        LoadedCode([compile_object(text, HOST)], HOST) as library,
        pytest.raises(RuntimeError, match="'f' cannot be linked"),
    ):
        library.address("f")


def test_objects_of_one_library_see_each_other_and_the_process() -> None:
    caller = "declare i64 @inner()\ndefine i64 @outer() {\n  %x = call i64 @inner()\n  ret i64 %x\n}"
    inner = "declare i32 @getpid()\ndefine i64 @inner() {\n  %p = call i32 @getpid()\n  %x = zext i32 %p to i64\n  ret i64 %x\n}"
    with LoadedCode(compile_objects([caller, inner], HOST, 1), HOST) as library:
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("outer"))() == os.getpid()


def test_threads_may_ask_for_the_same_symbol_at_once() -> None:
    """All at once on a fresh library, which is when several look-ups of one name can be under way."""
    image = compile_object("define i64 @f() { ret i64 7 }", HOST)
    for _ in range(100):
        library, gate = LoadedCode([image], HOST), threading.Barrier(4)
        answers: list[int] = []

        def ask(library: LoadedCode = library, gate: threading.Barrier = gate, answers: list[int] = answers) -> None:
            gate.wait()
            answers.append(ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("f"))())

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [7] * 4


def test_a_closed_library_answers_nothing() -> None:
    library = LoadedCode([compile_object("define void @f() { ret void }", HOST)], HOST)
    assert library.address("f") == library.address("f") != 0
    library.close()
    library.close()
    with pytest.raises(RuntimeError, match="closed library"):
        library.address("f")


def test_loop_strength_reduction_is_off() -> None:
    """LLVM accepts misspelled options in silence, so the effect is what is tested: the multiplication stays."""
    text = """
define void @f(ptr %p, i64 %n, i64 %stride) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %loop ]
  %offset = mul i64 %i, %stride
  %cell = getelementptr float, ptr %p, i64 %offset
  store float 1.0, ptr %cell
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""
    assert "imul" in assembly(text, named_target("x86-64-v3"))
