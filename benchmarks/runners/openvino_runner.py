"""OpenVINO on the CPU, for latency and in float32 (its default would be bfloat16 where the CPU has it)."""

from __future__ import annotations

import importlib.metadata

import openvino

from benchmarks.job import Job
from benchmarks.materials import Materials
from benchmarks.runners.onnx_models import model_bytes, to_nchw
from benchmarks.workloads import Workload


class Runner:
    """The mode is not used."""

    def __init__(self, mode: str, threads: int) -> None:
        self.version = f"openvino {importlib.metadata.version('openvino')}"
        self._config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def build(self, workload: Workload, materials: Materials) -> Job:
        core = openvino.Core()
        model = core.read_model(model_bytes(workload.network, materials))
        request = core.compile_model(model, "CPU", self._config).create_infer_request()
        x = to_nchw(materials.x)
        return Job(lambda: request.infer([x], share_inputs=True, share_outputs=True)[0])
