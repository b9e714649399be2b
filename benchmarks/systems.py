"""The systems that take part: which module runs each, what it can do, and the environment it is started in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.mkl import unlocked_environment
from benchmarks.workloads import Kind, Workload

OURS = "graphc"
UNLOCKED = "torch-unlocked"
DENSE_ONLY = frozenset({"W1-train", "tiny-train", "W8-ae", "W8-logreg"})
_COMMON: frozenset[Kind] = frozenset({"train", "infer", "fit"})
_EVERY_KIND: frozenset[Kind] = _COMMON | {"generate"}
_INFERENCE: frozenset[Kind] = frozenset({"infer"})


@dataclass(frozen=True, slots=True)
class System:
    """A row of the result. `variables` are set in the worker's environment; `mode` is handed to the runner.

    only: the names of the workloads it knows, where that is not "all of these kinds".
    """

    name: str
    runner: str
    mode: str = ""
    kinds: frozenset[Kind] = _COMMON
    variables: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] | None = None

    def knows(self, workload: Workload) -> bool:
        return workload.kind in self.kinds and (self.only is None or workload.name in self.only)


def _keras(backend: str) -> System:
    return System(f"keras-{backend}", "keras_runner", variables={"KERAS_BACKEND": _KERAS_BACKENDS[backend]})


_KERAS_BACKENDS = {"jax": "jax", "tf": "tensorflow", "torch": "torch"}
_ALL = (
    System(OURS, "graphc_runner", kinds=_EVERY_KIND),
    System("torch", "torch_runner", "eager", _EVERY_KIND),
    System("torch-compile", "torch_runner", "compile", _EVERY_KIND),
    System(UNLOCKED, "torch_runner", "eager", _EVERY_KIND),
    System("jax", "jax_runner", kinds=_EVERY_KIND),
    System("tf", "tf_runner", "graph"),
    System("tf-xla", "tf_runner", "xla"),
    _keras("jax"),
    _keras("tf"),
    _keras("torch"),
    System("ort", "ort_runner", kinds=_INFERENCE),
    System("openvino", "openvino_runner", kinds=_INFERENCE),
    System("numpy", "numpy_runner", only=DENSE_ONLY),
)
SYSTEMS: dict[str, System] = {system.name: system for system in _ALL}
# The systems that also run single kernels, and the module that runs them.
KERNEL_RUNNERS = {
    OURS: "graphc_kernels",
    "torch": "torch_kernels",
    UNLOCKED: "torch_kernels",
    "jax": "jax_kernels",
}


def environment(system: System, threads: int, caches: Path) -> dict[str, str]:
    """The variables a worker is started with, beside the parent's own.

    Every system keeps what it compiles below `caches`: an empty folder makes the first step a cold one for all.
    """
    count = str(threads)
    variables = {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NPROC": count,  # the size of XLA's thread pool
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "GRAPHC_CACHE_DIR": str(caches / "graphc"),
        "GRAPHC_THREADS": count,
    }
    unlocked = unlocked_environment(caches) if system.name == UNLOCKED else {}
    return {**variables, **system.variables, **unlocked}
