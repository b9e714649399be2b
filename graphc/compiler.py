"""The recipe: from a graph to an executable, stage by stage.

Whatever only a compilation needs is imported where it is used: an executable that comes out of the cache starts without
the passes and the code generator.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.op import Value
from graphc.ir.text import print_graph
from graphc.options import CompileOptions, compile_options, environment
from graphc.runtime.cache import Cache
from graphc.runtime.executable import CheckError as CheckError  # the face may not import the runtime
from graphc.runtime.executable import Executable
from graphc.runtime.image import Image
from graphc.runtime.inspection import Compilation, KernelSource, describe_kernels, new_folder
from graphc.runtime.interpreted import InterpretedExecutable as InterpretedExecutable
from graphc.runtime.pool import Pool, default_threads
from graphc.runtime.symbols import publish

if TYPE_CHECKING:
    from codegen.choice import Choice
    from codegen.jit import LoadedCode
    from codegen.program import Code
    from codegen.target import Target
    from passes.manager import Pass

LOG = logging.getLogger(__name__)
Array = np.ndarray[Any, Any]

_SOURCES = ("codegen", "passes", "graphc/ir", "graphc/primitives", "graphc/runtime", "graphc/compiler.py")
"""The code that decides what a graph becomes."""


def compile_graph(
    graph: Graph,
    options: CompileOptions | None = None,
    bind: Mapping[str, Array] | None = None,
    *,
    watched: bool = False,
    pipeline: Sequence[Pass] | None = None,
    arena: bool = True,
    choices: Mapping[str, Choice] | None = None,
) -> Executable:
    """The native executable of a graph. `bind` lends arrays to weights and states by name, `watched` says that their
    changes are noted (see Executable).

    Another `pipeline`, `arena=False` (no memory is shared) or `choices` of a tuner may change its speed, never what it
    computes (but for the order of additions).
    """
    options = options or compile_options()
    target = _target(options.cpu)
    fresh: list[Compilation] = []

    def analysed(dump: Path | None = None) -> Compilation:
        known = tuned(graph, options) if choices is None and options.tune is not None else choices
        return analyse(graph, replace(options, dump=dump or options.dump), pipeline, arena, known)

    def build() -> Image:
        compilation = analysed()
        fresh.append(compilation)
        symbols = tuple(dict.fromkeys(phase.symbol for phase in compilation.program.phases))
        return Image(_objects(graph.name, compilation.code, target), symbols, compilation.program)

    cache = _cache(options) if pipeline is None and arena and choices is None else None
    image, library, addresses = _obtain(cache, f"graph, {_kind(options)}\n{print_graph(graph)}", target, build)
    assert image.program is not None
    return Executable(
        image.program,
        addresses,
        _pool(options),
        threads=options.threads or default_threads(),
        bind=bind,
        keep=library,
        watched=watched,
        compilation=fresh[0] if fresh else None,
        analyse=analysed,
    )


def _kind(options: CompileOptions) -> str:
    """The options that change the code."""
    return f"winograd {options.winograd}, tuned {options.tune is not None}, within {options.memory_limit}"


def tuned(graph: Graph, options: CompileOptions) -> Mapping[str, Choice]:
    """What the tuner finds for the kernels of a graph in `options.tune` seconds, or has found before."""
    from graphc.tuner import Store, tune

    assert options.tune is not None
    plain = replace(options, tune=None, cache=False, dump=None, verify=0)
    target = _target(options.cpu)
    store = Store(Cache(options.cache_dir) if options.cache else None, _key("choices", target))

    def build(alone: Graph, choices: Mapping[str, Choice]) -> Executable:
        return compile_graph(alone, plain, watched=True, pipeline=(), choices=choices)

    return tune(apply_passes(graph, options=plain), target, options.tune, store, build)


def analyse(
    graph: Graph,
    options: CompileOptions,
    pipeline: Sequence[Pass] | None = None,
    arena: bool = True,
    choices: Mapping[str, Choice] | None = None,
) -> Compilation:
    """Everything up to the LLVM text: passes, memory plan, kernels. All of it is also written to `options.dump`.

    Within `options.memory_limit`, if there is one: MemoryError with the bytes that are needed at least.
    """
    if options.memory_limit is not None:
        return _within_limit(graph, options, pipeline, arena, choices)
    from codegen.program import build_program
    from codegen.scan import describe_calls
    from passes.manager import run_passes
    from passes.memory import plan_memory
    from passes.pipeline import pipeline as standard

    dump = new_folder(options.dump, graph) if options.dump else None
    clock = _Clock()
    stages = [("source", graph)]
    steps = standard(with_winograd=options.winograd) if pipeline is None else pipeline
    optimised = run_passes(graph, steps, verify=options.verify, dump=dump, trace=stages)
    clock.lap("passes")
    plan = plan_memory(optimised, arena)
    clock.lap("memory")
    target = _target(options.cpu)
    program, code = build_program(plan, target, choices)
    clock.lap("kernels")
    outer, inner = describe_kernels(program, plan.graph), describe_calls(code.kernels.values())
    computes = outer | {symbol: text for symbol, text in inner.items() if symbol not in outer}
    kernels = _kernel_sources(code, target, computes)
    compilation = Compilation(tuple(stages), plan, program, kernels, clock.laps, code, target, dump)
    if dump:
        compilation.write(dump)
    return compilation


def _within_limit(
    graph: Graph,
    options: CompileOptions,
    pipeline: Sequence[Pass] | None,
    arena: bool,
    choices: Mapping[str, Choice] | None,
) -> Compilation:
    """The first compilation within the limit: as it is, or with more and more values computed again."""
    from passes.manager import run_passes
    from passes.pipeline import pipeline as standard
    from passes.recompute import LEVELS, recompute

    assert options.memory_limit is not None
    *steps, last = standard(with_winograd=options.winograd) if pipeline is None else pipeline
    quiet = replace(options, memory_limit=None, dump=None)
    threads = options.threads or default_threads()
    prepared = run_passes(graph, steps, verify=options.verify)
    needed = []
    for level in (0, *LEVELS):
        more = (functools.partial(recompute, level=level),) if level else ()
        found = analyse(prepared, quiet, (*more, last), arena, choices)
        needed.append(sum(found.program.memory_bytes(threads).values()))
        if needed[-1] <= options.memory_limit:
            return analyse(graph, replace(quiet, dump=options.dump), (*steps, *more, last), arena, choices)
    raise MemoryError(
        f"{graph.name} needs {needed[0]:,} bytes, and {min(needed):,} when values are computed again; the limit is "
        f"{options.memory_limit:,}: a smaller batch or smaller layers need less"
    )


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def _target(cpu: str | None) -> Target:
    from codegen.target import host_target, named_target

    return named_target(cpu) if cpu else host_target()


def _objects(name: str, code: Code, target: Target) -> tuple[bytes, ...]:
    from codegen import jit

    began = time.perf_counter()
    objects = jit.compile_objects(code.modules, target, default_threads())
    LOG.info("%s: native code in %.0f ms", name, (time.perf_counter() - began) * 1e3)
    return tuple(objects)


def _kernel_sources(code: Code, target: Target, computes: Mapping[str, str]) -> dict[str, KernelSource]:
    """The kernels in order of first use, at every level of text."""
    from codegen import jit
    from codegen.catalog import format_any

    def source(symbol: str) -> KernelSource:
        llvm, kernel = code.texts[symbol], code.kernels[symbol]
        writers = functools.partial(format_any, kernel), functools.partial(jit.assembly, llvm, target)
        return KernelSource(symbol, computes[symbol], llvm, writers)

    return {symbol: source(symbol) for symbol in computes}


# The cache


def persistent_cache(options: CompileOptions | None = None) -> Cache:
    """The cache of compiled code that the options name, to be looked at or cleared."""
    return Cache((options or compile_options()).cache_dir)


def _cache(options: CompileOptions) -> Cache | None:
    """The cache these options allow: none where passes are to be seen at work, in a dump or by the interpreter."""
    wanted = options.cache and not options.dump and options.verify < 2 and _sources_hash()
    return Cache(options.cache_dir) if wanted else None


def _obtain(
    cache: Cache | None, what: str, target: Target, build: Callable[[], Image]
) -> tuple[Image, LoadedCode, dict[str, int]]:
    """The image of what the text describes, from the cache or built and put there; linked, its symbols' addresses."""
    if cache is None:
        return _link(build(), target)
    key = _key(what, target)
    if (stored := cache.load(key)) is not None:
        try:
            return _link(Image.from_bytes(stored), target)
        except (ValueError, TypeError, LookupError, RuntimeError) as error:
            cache.discard(key, error)
    linked = _link(build(), target)
    cache.store(key, linked[0].to_bytes())
    return linked


def _link(image: Image, target: Target) -> tuple[Image, LoadedCode, dict[str, int]]:
    from codegen import jit

    library = jit.LoadedCode(image.objects, target)
    addresses = {symbol: library.address(symbol) for symbol in image.symbols}
    if (folder := environment().symbols) is not None:
        publish(image.objects, addresses, folder)
    return image, library, addresses


def _key(what: str, target: Target) -> bytes:
    """All that the native code depends on, in full."""
    from codegen.jit import LLVM

    versions = f"{LLVM}, numpy {np.__version__}, graphc {_sources_hash()}"
    return f"{target.triple}\n{target.cpu}\n{target.features}\n{versions}\n{what}".encode("utf-8", "surrogatepass")


@functools.cache
def _sources_hash() -> str:
    """SHA-256 of the compiler's own sources; empty where they are not files, and nothing can be told apart."""
    root = Path(__file__).parent.parent
    paths = [path for name in _SOURCES for path in (root / name, *(root / name).glob("*.py")) if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(paths):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(data)}\n".encode() + data)
    return digest.hexdigest() if len(paths) > len(_SOURCES) else ""


_pools: list[Pool] = []
_pool_lock = threading.Lock()


def _pool(options: CompileOptions) -> Pool:
    """The process-wide pool: its code is linked once and never freed."""
    with _pool_lock:
        if not _pools:
            _, library, addresses = _obtain(_cache(options), "pool", _target(None), _pool_image)
            _pools.append(Pool(addresses, owner=library))
        return _pools[0]


def _pool_image() -> Image:
    from codegen import jit
    from codegen.pool import EXPORTS, pool_ir

    target = _target(None)
    return Image((jit.compile_object(pool_ir(target), target),), EXPORTS)


# The passes, for those who may not import them


def apply_passes(graph: Graph, names: Sequence[str] | None = None, options: CompileOptions | None = None) -> Graph:
    """The graph after the passes of these names (default: all), checked as the options say. ValueError for no pass."""
    from passes.manager import run_passes
    from passes.pipeline import find_passes, pipeline

    options = options or compile_options()
    steps = pipeline(with_winograd=options.winograd) if names is None else find_passes(names)
    return run_passes(graph, steps, verify=options.verify)


def prepare_forward(graph: Graph, options: CompileOptions | None = None) -> Graph:
    """A traced forward graph made ready for gradients: with what makes the backward graph cheaper too.

    It is verified when the joint graph is compiled, and if that comes out of the cache, it was.
    """
    from graphc.primitives.scan_gradient import keep_residuals
    from passes.canonicalize import canonicalize
    from passes.hoist import hoist
    from passes.manager import run_passes

    verify = (options or compile_options()).verify
    return run_passes(graph, (canonicalize, hoist, keep_residuals), verify=verify if verify > 1 else 0)


def gradients(graph: Graph, loss: Value, wrt: Sequence[Value], leaves: Collection[Value] = ()) -> Graph:
    """See `passes.autodiff.gradients`."""
    from passes import autodiff

    return autodiff.gradients(graph, loss, wrt, leaves)


def random_inputs(graph: Graph, seed: int = 0) -> list[Array]:
    """See `passes.validate.random_inputs`."""
    from passes import validate

    return validate.random_inputs(graph, seed)


def values_named(graph: Graph, names: Sequence[str]) -> dict[str, Value]:
    """The values of a graph by name. KeyError names the first that is missing."""
    known = {value.name: value for value in graph.values()}
    return {name: known[name] for name in names}
