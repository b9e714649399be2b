"""onnxruntime on its CPU provider, every graph optimization on."""

from __future__ import annotations

import onnxruntime

from benchmarks.job import Job
from benchmarks.materials import Materials
from benchmarks.runners.onnx_models import INPUT, model_bytes, to_nchw
from benchmarks.workloads import Workload


class Runner:
    """The mode is not used."""

    def __init__(self, mode: str, threads: int) -> None:
        self.version = f"onnxruntime {onnxruntime.__version__}"
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL

    def build(self, workload: Workload, materials: Materials) -> Job:
        model = model_bytes(workload.network, materials)
        session = onnxruntime.InferenceSession(model, self._options, providers=["CPUExecutionProvider"])
        feeds = {INPUT: to_nchw(materials.x)}
        return Job(lambda: session.run(None, feeds)[0])
