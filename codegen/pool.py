"""The native thread pool, as LLVM IR text: a process-wide set of workers that run a compiled program's phases.

The pool is *elastic*. A phase is cut into chunks whose bounds depend on the extent and the grain alone. Every thread
takes the next chunk with one compare-and-swap, and the caller waits only for chunks somebody has taken. A worker that
does not show up costs nothing, so on a busy machine a call is never slower than running it serially; static barriers
are. Where the units of a *joint* phase read the same operands, a thread takes its share of what is left at once, as one
call of the kernel: a half, a quarter, an eighth with two threads.

The word `claim` (epoch << 32 | next chunk) guards `job`, the phase on offer. Workers read the job and then claim; a
claim that succeeds proves that the job did not change in between, because the caller *closes* the word (a new epoch, no
chunk left) before it rewrites the job. Memory behind the job is touched only after a successful claim, while the caller
waits.

Exported functions
- `i32 graphc_run(ptr call)`: run a Call; 0 done, i + 1 when the check of phase i failed, -1 aborted.
- `i32 graphc_pool_start(i32 workers)`: have that many workers. Returns how many there are, or -1 if it makes no
threads.
- `void graphc_worker(i32 index)`: be worker `index` until the pool stops; for threads made elsewhere.
- `void graphc_pool_stop()`: send the workers home and join the threads it made.
- `void graphc_pool_reset()`: forget all workers, in a forked child that has none of them.
- `i64 graphc_ticks()`: the counter that `Call.cycles` is measured in.

A kernel is `void kernel(ptr table, ptr slots, i64 begin, i64 end, i64 rows, ptr scratch)`.
"""

from __future__ import annotations

from collections.abc import Mapping

from codegen.pool_system import MAX_WORKERS, system_ir
from codegen.target import Target

FIRST_UPDATE = 1
"""Phase flag: the update section starts here. From this phase on, a run is no longer aborted."""
SERIAL = 2
"""Phase flag: the caller runs every chunk itself."""
JOINT = 4
"""Phase flag: chunks may be joined, because results do not depend on the bounds of a call, and it is faster."""

CALL = {
    "phases": "ptr",
    "n_phases": "i64",
    "table": "ptr",
    "rows": "i64",
    "scratch": "ptr",
    "scratch_stride": "i64",
    "threads": "i32",
    "abort": "i32",
    "cycles": "ptr",
}
"""One run: thread t works in scratch + t * scratch_stride bytes; `cycles` is null or has a u64 per phase to add to."""

PHASE = {
    "kernel": "ptr",
    "slots": "ptr",
    "per_row": "i64",
    "fixed": "i64",
    "grain": "i64",
    "flags": "i32",
    "check_slot": "i32",
}
"""One kernel over per_row * rows + fixed units, `grain` units a chunk; table[check_slot] points to an i32 that must be
0."""

_JOB = {
    "claim": "i64",
    "phase": "ptr",
    "call": "ptr",
    "extent": "i64",
    "chunks": "i32",
    "threads": "i32",
    "shares": "i32",
}
"""The phase on offer, in the cache line of the word that guards it. A claim takes one of `shares` parts of the chunks
that are left, and at least one chunk."""

EXPORTS = (
    "graphc_run",
    "graphc_pool_start",
    "graphc_worker",
    "graphc_pool_stop",
    "graphc_pool_reset",
    "graphc_ticks",
)
"""The functions the Python side of the pool is handed the addresses of."""

_WORKER_SPIN_US = 200
_CALLER_SPIN_US = 100
_CLOSED = 0xFFFFFFFF
_CACHE_LINE = 64
_ALIGN = {"ptr": 8, "i64": 8, "i32": 4}


def pool_ir(target: Target, *, portable: bool = False) -> str:
    """The pool as one LLVM module. ValueError for an architecture or system it has no code for.

    `portable` leaves out what only some systems have: waiting is polling, and `graphc_pool_start` makes no threads, so
    that the caller of it enters `graphc_worker` with threads of its own.
    """
    parts = [_STATE, system_ir(target, portable=portable), _chunks(), _work(), _wake_workers(), _await(), _share()]
    parts += [_run_phase(), _rouse(), _bookkeeping(), _run_phases(), _run(), _worker(), _stop(), _reset()]
    return "\n".join(parts)


# Text pieces: struct fields and the module's state.


def _at(struct: Mapping[str, str], name: str, base: str, field: str) -> str:
    """The address of a field, as a constant expression for a global and as an instruction for a value."""
    index = list(struct).index(field)
    if base.startswith("@"):
        return f"getelementptr inbounds (%{name}, ptr {base}, i32 0, i32 {index})"
    return f"getelementptr inbounds %{name}, ptr {base}, i32 0, i32 {index}"


def _call(field: str, value: str | None = None) -> str:
    """Load a field of `%call` into `%value` (by default named like the field)."""
    value = value or field
    return f"%{value}.at = {_at(CALL, 'Call', '%call', field)}\n  %{value} = load {CALL[field]}, ptr %{value}.at"


def _phase(field: str) -> str:
    """Load a field of `%phase` into a value named like it."""
    return f"%{field}.at = {_at(PHASE, 'Phase', '%phase', field)}\n  %{field} = load {PHASE[field]}, ptr %{field}.at"


def _job(field: str) -> str:
    return _at(_JOB, "Job", "@job", field)


def _load_job(field: str, ordering: str = "acquire") -> str:
    """Load a field of the job into a value named like it; acquire keeps the load before the claim that validates it."""
    return f"%{field} = load atomic {_JOB[field]}, ptr {_job(field)} {ordering}, align {_ALIGN[_JOB[field]]}"


def _store_job(field: str, value: str, ordering: str = "release") -> str:
    """Store a field of the job; release keeps the store after the one that closed the claim word."""
    return f"store atomic {_JOB[field]} {value}, ptr {_job(field)} {ordering}, align {_ALIGN[_JOB[field]]}"


def _line(name: str) -> str:
    """A 32-bit word that shares its cache line with nothing."""
    return f"@{name} = internal global [{_CACHE_LINE // 4} x i32] zeroinitializer, align {_CACHE_LINE}"


def _types() -> str:
    structs = {"Call": CALL, "Phase": PHASE, "Job": {**_JOB, "padding": f"[{_CACHE_LINE - 44} x i8]"}}
    return "\n".join(f"%{name} = type {{ {', '.join(fields.values())} }}" for name, fields in structs.items())


_STATE = f"""\
{_types()}
%Line = type [{_CACHE_LINE // 4} x i32]

@job = internal global %Job {{ i64 {_CLOSED}, ptr null, ptr null, i64 0, i32 0, i32 0, i32 0,
  [{_CACHE_LINE - 44} x i8] zeroinitializer }}, align {_CACHE_LINE}
; Chunks of the job that are finished; the caller sleeps on this word, and says so in `waiting`.
{_line("done")}
{_line("waiting")}
; 1 while a caller owns the workers.
{_line("busy")}
; 1 when workers shall leave.
{_line("stopping")}
; How many workers are parked, and a word per worker that is 1 while it is; a worker sleeps on its word.
{_line("sleepers")}
@parked = internal global [{MAX_WORKERS} x %Line] zeroinitializer, align {_CACHE_LINE}
@threads = internal global [{MAX_WORKERS} x i64] zeroinitializer
@workers = internal global i32 0

attributes #0 = {{ nounwind }}
"""


# The program: chunks, the job, phases.


def _chunks() -> str:
    """Where chunks lie, and running some. Serial runs go chunk by chunk too: kernels see the same bounds in every run,
    unless their phase is joint."""
    return f"""
define internal i64 @extent_of(ptr %phase, i64 %rows) #0 {{
  {_phase("per_row")}
  {_phase("fixed")}
  %counted = mul i64 %per_row, %rows
  %extent = add i64 %counted, %fixed
  ret i64 %extent
}}

define internal i64 @chunks_of(ptr %phase, i64 %extent) #0 {{
  {_phase("grain")}
  %last = sub i64 %grain, 1
  %padded = add i64 %extent, %last
  %chunks = sdiv i64 %padded, %grain
  ret i64 %chunks
}}

; Whether to offer a phase to the workers: it has more than one chunk, and no more than a claim word can count.
define internal i1 @is_shared(ptr %phase, i64 %chunks) #0 {{
  {_phase("flags")}
  %serial_bit = and i32 %flags, {SERIAL}
  %may = icmp eq i32 %serial_bit, 0
  %several = icmp sgt i64 %chunks, 1
  %countable = icmp slt i64 %chunks, {1 << 31}
  %useful = and i1 %several, %countable
  %shared = and i1 %may, %useful
  ret i1 %shared
}}

define internal i1 @is_joint(ptr %phase) #0 {{
  {_phase("flags")}
  %joint_bit = and i32 %flags, {JOINT}
  %joint = icmp ne i32 %joint_bit, 0
  ret i1 %joint
}}

define internal void @run_chunks(ptr %phase, ptr %call, i64 %extent, i64 %chunk, i64 %count, i32 %thread) #0 {{
  {_phase("kernel")}
  {_phase("slots")}
  {_phase("grain")}
  {_call("table")}
  {_call("rows")}
  {_call("scratch")}
  {_call("scratch_stride")}
  %begin = mul i64 %chunk, %grain
  %length = mul i64 %count, %grain
  %full_end = add i64 %begin, %length
  %is_last = icmp sgt i64 %full_end, %extent
  %end = select i1 %is_last, i64 %extent, i64 %full_end
  %number = zext i32 %thread to i64
  %offset = mul i64 %number, %scratch_stride
  %own_scratch = getelementptr i8, ptr %scratch, i64 %offset
  call void %kernel(ptr %table, ptr %slots, i64 %begin, i64 %end, i64 %rows, ptr %own_scratch)
  ret void
}}

define internal void @run_serially(ptr %phase, ptr %call, i64 %extent, i64 %chunks) #0 {{
entry:
  %joint = call i1 @is_joint(ptr %phase)
  %count = select i1 %joint, i64 %chunks, i64 1
  br label %head
head:
  %chunk = phi i64 [ 0, %entry ], [ %chunk.next, %body ]
  %more = icmp slt i64 %chunk, %chunks
  br i1 %more, label %body, label %done
body:
  call void @run_chunks(ptr %phase, ptr %call, i64 %extent, i64 %chunk, i64 %count, i32 0)
  %chunk.next = add i64 %chunk, %count
  br label %head
done:
  ret void
}}
"""


def _work() -> str:
    """Taking chunks of the job until none is left; true if there was one. Thread 0 is the caller, worker i is i + 1."""
    return f"""
declare i32 @llvm.umax.i32(i32, i32)

define internal i1 @work(i32 %thread) #0 {{
entry:
  br label %look
look:
  %worked = phi i1 [ false, %entry ], [ %worked, %take ], [ true, %run ], [ true, %last ], [ true, %wake ]
  {_load_job("claim", "seq_cst")}
  %next = trunc i64 %claim to i32
  {_load_job("chunks")}
  %is_open = icmp ult i32 %next, %chunks
  br i1 %is_open, label %enter, label %leave
enter:
  {_load_job("threads")}
  %is_welcome = icmp ult i32 %thread, %threads
  br i1 %is_welcome, label %take, label %leave
take:
  {_load_job("phase")}
  {_load_job("call")}
  {_load_job("extent")}
  {_load_job("shares")}
  %left = sub i32 %chunks, %next
  %share = udiv i32 %left, %shares
  %count = call i32 @llvm.umax.i32(i32 %share, i32 1)
  %count.wide = zext i32 %count to i64
  %claimed = add i64 %claim, %count.wide
  %exchange = cmpxchg ptr {_job("claim")}, i64 %claim, i64 %claimed seq_cst seq_cst
  %is_mine = extractvalue {{ i64, i1 }} %exchange, 1
  br i1 %is_mine, label %run, label %look
run:
  %chunk = zext i32 %next to i64
  call void @run_chunks(ptr %phase, ptr %call, i64 %extent, i64 %chunk, i64 %count.wide, i32 %thread)
  %before = atomicrmw add ptr @done, i32 %count seq_cst
  %after = add i32 %before, %count
  %is_last = icmp eq i32 %after, %chunks
  br i1 %is_last, label %last, label %look
last:
  %waiting = load atomic i32, ptr @waiting seq_cst, align 4
  %is_asleep = icmp ne i32 %waiting, 0
  br i1 %is_asleep, label %wake, label %look
wake:
  call void @wake(ptr @done)
  br label %look
leave:
  ret i1 %worked
}}
"""


def _wake_workers() -> str:
    """Waking those of the first `count` workers that are parked.

    Nobody oversleeps: the caller publishes and then reads `sleepers` and `parked`, a worker writes those and then looks
    for work, all in the one order of seq_cst.
    """
    return """
define internal void @wake_workers(i32 %count) #0 {
entry:
  %sleepers = load atomic i32, ptr @sleepers seq_cst, align 4
  %any = icmp ne i32 %sleepers, 0
  br i1 %any, label %head, label %done
head:
  %worker = phi i32 [ 0, %entry ], [ %worker.next, %step ]
  %more = icmp slt i32 %worker, %count
  br i1 %more, label %look, label %done
look:
  %word = getelementptr inbounds %Line, ptr @parked, i32 %worker
  %parked = load atomic i32, ptr %word seq_cst, align 4
  %is_parked = icmp ne i32 %parked, 0
  br i1 %is_parked, label %rouse, label %step
rouse:
  store atomic i32 0, ptr %word seq_cst, align 4
  call void @wake(ptr %word)
  br label %step
step:
  %worker.next = add i32 %worker, 1
  br label %head
done:
  ret void
}
"""


def _await() -> str:
    """Waiting until `chunks` chunks are finished: spinning, then asleep.

    Never `sched_yield`: where another process wants the processor, Linux counts what is given up as used, but credits a
    sleeper.
    """
    return f"""
define internal void @await(i32 %chunks) #0 {{
entry:
  %spin_end = call i64 @deadline(i64 {_CALLER_SPIN_US})
  br label %spin
spin:
  %count = load atomic i32, ptr @done acquire, align 4
  %is_done = icmp eq i32 %count, %chunks
  br i1 %is_done, label %done, label %relax
relax:
  call void @relax()
  %spun = call i1 @is_past(i64 %spin_end)
  br i1 %spun, label %lie_down, label %spin
lie_down:
  store atomic i32 1, ptr @waiting seq_cst, align 4
  br label %sleep
sleep:
  %count.s = load atomic i32, ptr @done seq_cst, align 4
  %is_done.s = icmp eq i32 %count.s, %chunks
  br i1 %is_done.s, label %get_up, label %nap
nap:
  call void @wait(ptr @done, i32 %count.s)
  br label %sleep
get_up:
  store atomic i32 0, ptr @waiting seq_cst, align 4
  br label %done
done:
  ret void
}}
"""


def _share() -> str:
    """Offering a phase to the workers: close the claim word, write the job, open the word, take part, wait."""
    return f"""
define internal void @share(ptr %phase, ptr %call, i64 %extent, i64 %chunks, i32 %threads) #0 {{
  %count = trunc i64 %chunks to i32
  {_load_job("claim", "monotonic")}
  %epoch = lshr i64 %claim, 32
  %epoch.next = add i64 %epoch, 1
  %open = shl i64 %epoch.next, 32
  %closed = or i64 %open, {_CLOSED}
  {_store_job("claim", "%closed")}
  {_store_job("phase", "%phase")}
  {_store_job("call", "%call")}
  {_store_job("extent", "%extent")}
  {_store_job("chunks", "%count")}
  {_store_job("threads", "%threads")}
  %joint = call i1 @is_joint(ptr %phase)
  %shares = select i1 %joint, i32 %threads, i32 {_CLOSED >> 1}
  {_store_job("shares", "%shares")}
  store atomic i32 0, ptr @done release, align 4
  {_store_job("claim", "%open", "seq_cst")}
  %workers = sub i32 %threads, 1
  call void @wake_workers(i32 %workers)
  %ignored = call i1 @work(i32 0)
  call void @await(i32 %count)
  ret void
}}
"""


def _run_phase() -> str:
    return """
define internal void @run_phase(ptr %phase, ptr %call, i64 %rows, i32 %threads) #0 {
  %extent = call i64 @extent_of(ptr %phase, i64 %rows)
  %chunks = call i64 @chunks_of(ptr %phase, i64 %extent)
  %is_shared = call i1 @is_shared(ptr %phase, i64 %chunks)
  %has_workers = icmp sgt i32 %threads, 1
  %parallel = and i1 %is_shared, %has_workers
  br i1 %parallel, label %together, label %alone
together:
  call void @share(ptr %phase, ptr %call, i64 %extent, i64 %chunks, i32 %threads)
  ret void
alone:
  call void @run_serially(ptr %phase, ptr %call, i64 %extent, i64 %chunks)
  ret void
}
"""


def _rouse() -> str:
    """Waking the workers at the start of a run that has a phase for them, so that they are up when it comes."""
    return f"""
define internal void @rouse(ptr %call, i32 %threads) #0 {{
entry:
  {_call("phases")}
  {_call("n_phases")}
  {_call("rows")}
  %workers = sub i32 %threads, 1
  %sleepers = load atomic i32, ptr @sleepers monotonic, align 4
  %any_asleep = icmp ne i32 %sleepers, 0
  %any_wanted = icmp sgt i32 %workers, 0
  %worth = and i1 %any_asleep, %any_wanted
  br i1 %worth, label %head, label %done
head:
  %i = phi i64 [ 0, %entry ], [ %i.next, %look ]
  %more = icmp slt i64 %i, %n_phases
  br i1 %more, label %look, label %done
look:
  %phase = getelementptr inbounds %Phase, ptr %phases, i64 %i
  %extent = call i64 @extent_of(ptr %phase, i64 %rows)
  %chunks = call i64 @chunks_of(ptr %phase, i64 %extent)
  %is_shared = call i1 @is_shared(ptr %phase, i64 %chunks)
  %i.next = add i64 %i, 1
  br i1 %is_shared, label %wake, label %head
wake:
  call void @wake_workers(i32 %workers)
  br label %done
done:
  ret void
}}
"""


def _bookkeeping() -> str:
    """What surrounds a phase: its time, and the flag it may have raised."""
    return """
define internal i64 @clock_in(ptr %cycles) #0 {
  %is_off = icmp eq ptr %cycles, null
  br i1 %is_off, label %off, label %on
off:
  ret i64 0
on:
  %now = call i64 @ticks()
  ret i64 %now
}

define internal void @clock_out(ptr %cycles, i64 %i, i64 %began) #0 {
  %is_off = icmp eq ptr %cycles, null
  br i1 %is_off, label %off, label %on
off:
  ret void
on:
  %now = call i64 @ticks()
  %elapsed = sub i64 %now, %began
  %cell = getelementptr i64, ptr %cycles, i64 %i
  %sum = load i64, ptr %cell
  %sum.next = add i64 %sum, %elapsed
  store i64 %sum.next, ptr %cell
  ret void
}

define internal i1 @has_failed(ptr %table, i32 %check_slot) #0 {
  %is_unchecked = icmp slt i32 %check_slot, 0
  br i1 %is_unchecked, label %unchecked, label %checked
unchecked:
  ret i1 false
checked:
  %cell = getelementptr ptr, ptr %table, i32 %check_slot
  %flag = load ptr, ptr %cell
  %raised = load i32, ptr %flag
  %failed = icmp ne i32 %raised, 0
  ret i1 %failed
}
"""


def _run_phases() -> str:
    """The phases in order. The abort word is looked at before each phase until the update section has begun."""
    return f"""
define internal i32 @run_phases(ptr %call, i32 %threads) #0 {{
entry:
  {_call("phases")}
  {_call("n_phases")}
  {_call("table")}
  {_call("rows")}
  {_call("cycles")}
  %abort = {_at(CALL, "Call", "%call", "abort")}
  call void @rouse(ptr %call, i32 %threads)
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %i.next, %step ]
  %updating = phi i1 [ false, %entry ], [ %updating.next, %step ]
  %more = icmp slt i64 %i, %n_phases
  br i1 %more, label %look, label %done
look:
  %aborting = load atomic i32, ptr %abort monotonic, align 4
  %is_wanted = icmp ne i32 %aborting, 0
  %is_allowed = xor i1 %updating, true
  %aborts = and i1 %is_wanted, %is_allowed
  br i1 %aborts, label %aborted, label %run
run:
  %phase = getelementptr inbounds %Phase, ptr %phases, i64 %i
  {_phase("flags")}
  {_phase("check_slot")}
  %began = call i64 @clock_in(ptr %cycles)
  call void @run_phase(ptr %phase, ptr %call, i64 %rows, i32 %threads)
  call void @clock_out(ptr %cycles, i64 %i, i64 %began)
  %failed = call i1 @has_failed(ptr %table, i32 %check_slot)
  br i1 %failed, label %stopped, label %step
step:
  %update_bit = and i32 %flags, {FIRST_UPDATE}
  %begins_update = icmp ne i32 %update_bit, 0
  %updating.next = or i1 %updating, %begins_update
  %i.next = add i64 %i, 1
  br label %head
stopped:
  %number = trunc i64 %i to i32
  %status = add i32 %number, 1
  ret i32 %status
aborted:
  ret i32 -1
done:
  ret i32 0
}}
"""


def _run() -> str:
    """The entry. A caller who finds the workers taken runs everything itself, with the same bits."""
    return f"""
define i32 @graphc_run(ptr %call) #0 {{
entry:
  {_call("threads", "asked")}
  %mode = call i64 @set_default_mode()
  %is_parallel = icmp sgt i32 %asked, 1
  br i1 %is_parallel, label %try, label %alone
try:
  %exchange = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %is_mine = extractvalue {{ i32, i1 }} %exchange, 1
  br i1 %is_mine, label %together, label %alone
together:
  %most = add i32 {MAX_WORKERS}, 1
  %is_too_many = icmp sgt i32 %asked, %most
  %threads = select i1 %is_too_many, i32 %most, i32 %asked
  %status.t = call i32 @run_phases(ptr %call, i32 %threads)
  store atomic i32 0, ptr @busy release, align 4
  br label %done
alone:
  %status.a = call i32 @run_phases(ptr %call, i32 1)
  br label %done
done:
  %status = phi i32 [ %status.t, %together ], [ %status.a, %alone ]
  call void @set_mode(i64 %mode)
  ret i32 %status
}}
"""


# The workers.


def _worker() -> str:
    """A worker's life: look for work, spin a while longer than programs pause between calls, then park."""
    return f"""
define void @graphc_worker(i32 %index) #0 {{
entry:
  %ignored = call i64 @set_default_mode()
  %thread = add i32 %index, 1
  %word = getelementptr inbounds %Line, ptr @parked, i32 %index
  %has_word = icmp ult i32 %index, {MAX_WORKERS}
  br i1 %has_word, label %refresh, label %leave
refresh:
  %spin_end = call i64 @deadline(i64 {_WORKER_SPIN_US})
  br label %spin
spin:
  %stopping = load atomic i32, ptr @stopping acquire, align 4
  %is_over = icmp ne i32 %stopping, 0
  br i1 %is_over, label %leave, label %look
look:
  %worked = call i1 @work(i32 %thread)
  br i1 %worked, label %refresh, label %relax
relax:
  call void @relax()
  %spun = call i1 @is_past(i64 %spin_end)
  br i1 %spun, label %park, label %spin
park:
  store atomic i32 1, ptr %word seq_cst, align 4
  %asleep = atomicrmw add ptr @sleepers, i32 1 seq_cst
  %worked.p = call i1 @work(i32 %thread)
  %stopping.p = load atomic i32, ptr @stopping seq_cst, align 4
  %is_over.p = icmp ne i32 %stopping.p, 0
  %is_needed = or i1 %worked.p, %is_over.p
  br i1 %is_needed, label %unpark, label %sleep
sleep:
  %parked = load atomic i32, ptr %word acquire, align 4
  %is_parked = icmp ne i32 %parked, 0
  br i1 %is_parked, label %nap, label %unpark
nap:
  call void @wait(ptr %word, i32 1)
  br label %sleep
unpark:
  store atomic i32 0, ptr %word seq_cst, align 4
  %awake = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  br label %refresh
leave:
  ret void
}}
"""


def _stop() -> str:
    """Workers finish the chunk they have; a run in progress goes on without them."""
    return f"""
define void @graphc_pool_stop() #0 {{
  store atomic i32 1, ptr @stopping seq_cst, align 4
  call void @wake_workers(i32 {MAX_WORKERS})
  call void @join_threads()
  ret void
}}
"""


def _reset() -> str:
    """A forked child has one thread and a copy of everybody's state: no worker exists, nobody owns the pool."""
    return f"""
define void @graphc_pool_reset() #0 {{
entry:
  {_load_job("claim", "monotonic")}
  %closed = or i64 %claim, {_CLOSED}
  {_store_job("claim", "%closed")}
  store i32 0, ptr @workers
  store atomic i32 0, ptr @busy seq_cst, align 4
  store atomic i32 0, ptr @waiting seq_cst, align 4
  store atomic i32 0, ptr @sleepers seq_cst, align 4
  br label %head
head:
  %index = phi i32 [ 0, %entry ], [ %index.next, %head ]
  %word = getelementptr inbounds %Line, ptr @parked, i32 %index
  store atomic i32 0, ptr %word seq_cst, align 4
  %index.next = add i32 %index, 1
  %more = icmp slt i32 %index.next, {MAX_WORKERS}
  br i1 %more, label %head, label %done
done:
  ret void
}}
"""
