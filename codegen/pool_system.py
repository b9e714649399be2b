"""What the native thread pool asks of processor and system, as LLVM IR text: one piece per function family.

The processor gives a polite pause, a tick counter and the floating-point mode; the system gives waiting on a word,
waking its sleepers, and threads. Everything else of the pool is the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.target import Target

MAX_WORKERS = 256

_POLL_US = 100


def system_ir(target: Target, *, portable: bool) -> str:
    """The functions `codegen.pool` builds on. ValueError for an architecture or system without them.

    `portable` leaves out what only some systems have: waiting is polling, and `graphc_pool_start` makes no threads.
    """
    if target.arch not in _ARCHITECTURES:
        raise ValueError(f"the thread pool has no code for {target.arch}; it has for {', '.join(_ARCHITECTURES)}")
    if target.os == "windows":
        raise ValueError(f"the thread pool has no code for Windows ({target})")
    arch = _ARCHITECTURES[target.arch]
    waiting = _futex(arch) if target.os == "linux" and not portable else _polling()
    return "\n".join((arch.text, _deadlines(), waiting, _make_no_threads() if portable else _make_threads()))


# The processor: waiting politely, the tick counter, the floating-point mode.


@dataclass(frozen=True, slots=True)
class _Architecture:
    text: str
    """`@relax`, `@ticks`, `@ticks_in` (of microseconds), `@set_default_mode` (returns the old mode), `@set_mode`."""
    futex: int
    """The number of Linux's futex system call."""


# Rounding to nearest, denormals kept, no traps. The low six bits of MXCSR are sticky flags, which are nobody's mode.
_X86 = """
declare void @llvm.x86.sse2.pause()
declare i64 @llvm.readcyclecounter()
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)

define internal void @relax() #0 {
  call void @llvm.x86.sse2.pause()
  ret void
}

define internal i64 @ticks() #0 {
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}

; The counter runs at 2 to 5 GHz; the spans are rules of thumb, so 3 GHz will do.
define internal i64 @ticks_in(i64 %us) #0 {
  %ticks = mul i64 %us, 3000
  ret i64 %ticks
}

define internal i64 @set_default_mode() #0 {
  %cell = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cell)
  %bits = load i32, ptr %cell
  %mode = zext i32 %bits to i64
  %flagless = and i32 %bits, 65472
  %is_default = icmp eq i32 %flagless, 8064
  br i1 %is_default, label %done, label %change
change:
  call void @set_mode(i64 8064)
  br label %done
done:
  ret i64 %mode
}

define internal void @set_mode(i64 %mode) #0 {
  %cell = alloca i32
  %bits = trunc i64 %mode to i32
  store i32 %bits, ptr %cell
  call void @llvm.x86.sse.ldmxcsr(ptr %cell)
  ret void
}
"""

# The virtual counter, because the cycle counter traps in user mode. FPCR 0: to nearest, denormals kept, no traps.
_AARCH64 = """
declare void @llvm.aarch64.hint(i32)
declare i64 @llvm.read_volatile_register.i64(metadata)
declare i64 @llvm.read_register.i64(metadata)
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)

define internal void @relax() #0 {
  call void @llvm.aarch64.hint(i32 1)
  ret void
}

define internal i64 @ticks() #0 {
  %now = call i64 @llvm.read_volatile_register.i64(metadata !{!"cntvct_el0"})
  ret i64 %now
}

define internal i64 @ticks_in(i64 %us) #0 {
  %hertz = call i64 @llvm.read_register.i64(metadata !{!"cntfrq_el0"})
  %product = mul i64 %us, %hertz
  %ticks = udiv i64 %product, 1000000
  ret i64 %ticks
}

define internal i64 @set_default_mode() #0 {
  %mode = call i64 @llvm.aarch64.get.fpcr()
  call void @set_mode(i64 0)
  ret i64 %mode
}

define internal void @set_mode(i64 %mode) #0 {
  call void @llvm.aarch64.set.fpcr(i64 %mode)
  ret void
}
"""

_ARCHITECTURES = {"x86_64": _Architecture(_X86, futex=202), "aarch64": _Architecture(_AARCH64, futex=98)}


def _deadlines() -> str:
    return """
define i64 @graphc_ticks() #0 {
  %now = call i64 @ticks()
  ret i64 %now
}

define internal i64 @deadline(i64 %us) #0 {
  %now = call i64 @ticks()
  %span = call i64 @ticks_in(i64 %us)
  %then = add i64 %now, %span
  ret i64 %then
}

define internal i1 @is_past(i64 %deadline) #0 {
  %now = call i64 @ticks()
  %left = sub i64 %deadline, %now
  %past = icmp slt i64 %left, 0
  ret i1 %past
}
"""


# The system: sleeping on a word, waking its sleepers. `wait` may return early; its callers look at the word again.


def _futex(arch: _Architecture) -> str:
    wait, wake = 128, 129  # FUTEX_WAIT and FUTEX_WAKE, both FUTEX_PRIVATE
    return f"""
declare i64 @syscall(i64, ...)

define internal void @wait(ptr %word, i32 %value) #0 {{
  %ignored = call i64 (i64, ...) @syscall(i64 {arch.futex}, ptr %word, i64 {wait}, i32 %value, ptr null)
  ret void
}}

define internal void @wake(ptr %word) #0 {{
  %ignored = call i64 (i64, ...) @syscall(i64 {arch.futex}, ptr %word, i64 {wake}, i32 1)
  ret void
}}
"""


def _polling() -> str:
    return f"""
declare i32 @usleep(i32)

define internal void @wait(ptr %word, i32 %value) #0 {{
  %ignored = call i32 @usleep(i32 {_POLL_US})
  ret void
}}

define internal void @wake(ptr %word) #0 {{
  ret void
}}
"""


def _make_threads() -> str:
    """Starting and joining POSIX threads. Start and stop are not meant to be called by two threads at once."""
    return f"""
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)

define internal ptr @thread_main(ptr %argument) #0 {{
  %number = ptrtoint ptr %argument to i64
  %index = trunc i64 %number to i32
  call void @graphc_worker(i32 %index)
  ret ptr null
}}

define i32 @graphc_pool_start(i32 %asked) #0 {{
entry:
  %is_too_many = icmp sgt i32 %asked, {MAX_WORKERS}
  %wanted = select i1 %is_too_many, i32 {MAX_WORKERS}, i32 %asked
  %running = load i32, ptr @workers
  store atomic i32 0, ptr @stopping seq_cst, align 4
  br label %head
head:
  %index = phi i32 [ %running, %entry ], [ %index.next, %started ]
  %more = icmp slt i32 %index, %wanted
  br i1 %more, label %start, label %done
start:
  %handle = getelementptr inbounds i64, ptr @threads, i32 %index
  %number = zext i32 %index to i64
  %argument = inttoptr i64 %number to ptr
  %error = call i32 @pthread_create(ptr %handle, ptr null, ptr @thread_main, ptr %argument)
  %failed = icmp ne i32 %error, 0
  br i1 %failed, label %done, label %started
started:
  %index.next = add i32 %index, 1
  store i32 %index.next, ptr @workers
  br label %head
done:
  ret i32 %index
}}

define internal void @join_threads() #0 {{
entry:
  %running = load i32, ptr @workers
  br label %head
head:
  %index = phi i32 [ 0, %entry ], [ %index.next, %join ]
  %more = icmp slt i32 %index, %running
  br i1 %more, label %join, label %done
join:
  %cell = getelementptr inbounds i64, ptr @threads, i32 %index
  %handle = load i64, ptr %cell
  %ignored = call i32 @pthread_join(i64 %handle, ptr null)
  %index.next = add i32 %index, 1
  br label %head
done:
  store i32 0, ptr @workers
  ret void
}}
"""


def _make_no_threads() -> str:
    """The threads are somebody else's: starting only lifts the stop, joining is theirs."""
    return """
define i32 @graphc_pool_start(i32 %asked) #0 {
  store atomic i32 0, ptr @stopping seq_cst, align 4
  ret i32 -1
}

define internal void @join_threads() #0 {
  ret void
}
"""
