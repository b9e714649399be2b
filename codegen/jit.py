"""The door to LLVM: IR text to objects and assembly, and objects to callable addresses.

No mid-level passes run: emitters write vectorised SSA, and on such text LLVM's optimiser takes three to five times as
long as code generation without making the result faster.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding import ffi

from codegen.target import Target, host_target

OPT_LEVEL = 2
LLVM = f"llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"
"""The versions that machine code depends on."""

_initialise_lock = threading.Lock()
_initialised: set[str] = set()


def compile_object(ir_text: str, target: Target) -> bytes:
    """The relocatable object (ELF, Mach-O or COFF) of one LLVM module. RuntimeError with LLVM's words if it is
    malformed."""
    with _machine(target) as machine, _module(ir_text, target, machine) as module:
        return _emit(machine, module, as_object=True)


def compile_objects(ir_texts: Sequence[str], target: Target, threads: int) -> list[bytes]:
    """`compile_object` of every text, on up to `threads` threads; the bytes do not depend on `threads`."""
    if min(threads, len(ir_texts)) <= 1:
        return [compile_object(text, target) for text in ir_texts]
    with ThreadPoolExecutor(min(threads, len(ir_texts))) as executor:
        return list(executor.map(lambda text: compile_object(text, target), ir_texts))


def assembly(ir_text: str, target: Target) -> str:
    """The assembly listing of what `compile_object` emits."""
    with _machine(target) as machine, _module(ir_text, target, machine) as module:
        return _emit(machine, module, as_object=False).decode()


class LoadedCode:
    """Objects loaded into this process, in one LLVM engine that is freed by `close()` or with the LoadedCode.

    Objects may refer to each other and to the symbols of the process. An object is linked when the first of its symbols
    is asked for. Addresses are valid until the LoadedCode is closed; nobody may be inside the code by then.
    """

    def __init__(self, objects: Sequence[bytes], target: Target) -> None:
        """ValueError if this process cannot execute the target's code, RuntimeError if LLVM refuses an object."""
        if not target.is_host_runnable:
            raise ValueError(f"code for {target} cannot be loaded here: this process runs on {host_target()}")
        builder = llvm.JITLibraryBuilder()
        for image in objects:
            builder.add_object_img(image)
        builder.add_current_process()
        with _machine(target) as machine:
            self._engine = llvm.create_lljit_compiler(machine, use_jit_link=True)
        # llvmlite hands out a tracker per look-up, and unloads all code when any one of them is dropped.
        self._code = builder.link(self._engine, _DYLIB)
        self._symbols: dict[str, Any] = {}
        self._lock = threading.Lock()

    def address(self, name: str) -> int:
        """The address of a symbol. RuntimeError if no object defines it, or if an external it needs exists nowhere."""
        if self._engine.closed:
            raise RuntimeError(f"symbol {name!r} was asked of a closed library")
        with self._lock:
            if name not in self._symbols:
                self._symbols[name] = self._lookup(name)
            address: int = self._symbols[name][name]
        return address

    def _lookup(self, name: str) -> Any:
        try:
            symbol = self._engine.lookup(_DYLIB, name)
        except RuntimeError as error:
            raise RuntimeError(f"symbol {name!r} cannot be linked: {error}") from None
        if symbol[name] == 0:
            raise RuntimeError(f"symbol {name!r} was linked to address 0")
        return symbol

    def close(self) -> None:
        """Free the code. Harmless when repeated."""
        for tracker in (*self._symbols.values(), self._code):
            tracker.close()
        self._symbols.clear()
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_DYLIB = "graphc"


@contextmanager
def _machine(target: Target) -> Iterator[Any]:
    """An LLVM target machine. Position-independent code: it is loaded far from the symbols it refers to, or shared."""
    _initialise(target)
    with llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=OPT_LEVEL, reloc="pic", codemodel="small"
    ) as machine:
        yield machine


@contextmanager
def _module(ir_text: str, target: Target, machine: Any) -> Iterator[Any]:
    """The parsed and verified module in an LLVM context of its own, which is what lets threads compile side by side."""
    with llvm.create_context() as context, llvm.parse_assembly(ir_text, context) as module:
        module.triple = target.triple
        with machine.target_data as layout:
            module.data_layout = str(layout)
        module.verify()
        yield module


def _emit(machine: Any, module: Any, *, as_object: bool) -> bytes:
    """Run code generation, outside llvmlite's lock.

    llvmlite holds one process-wide lock around each C call, which makes compiling threads take turns. LLVM itself asks
    only that two threads do not share a context, and here every module has its own. Only this one call goes around the
    lock, through the ctypes function behind llvmlite's wrapper.
    """
    locked = ffi.lib.LLVMPY_TargetMachineEmitToMemory
    emit = getattr(locked, "_cfn", locked)
    with ffi.OutputString() as error:
        buffer = emit(machine, module, int(as_object), error)
        if not buffer:
            raise RuntimeError(f"LLVM cannot generate code: {error}")
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _initialise(target: Target) -> None:
    """Register the code generator of the host, or all of them for a foreign target; set options; once per process."""
    kind = "native" if target.arch == host_target().arch else "all"
    with _initialise_lock:
        if not _initialised:
            # Loop strength reduction is two thirds of the time code generation takes, and emitted loops gain nothing
            # from it: their addresses are already pointer increments.
            llvm.set_option("graphc", "-disable-lsr")
        if kind not in _initialised:
            _INITIALISERS[kind]()
            _initialised.add(kind)


def _initialise_native() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _initialise_all() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


_INITIALISERS = {"native": _initialise_native, "all": _initialise_all}
