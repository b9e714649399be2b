"""graphc: a case's function is traced, differentiated and compiled natively, for a batch larger than the rows it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import graphc
from graphc import compiler, ops
from graphc.ir.builder import Builder
from graphc.ir.types import Rows, concrete
from graphc.options import compile_options
from graphc.tensor import Tensor
from graphc.tracing import Tracer, tracing
from keras_cases.draw import Array
from keras_cases.run import RATE, Function, Side, projection

SPARE = 3  # rows of the compiled batch that stay unused
OPTIONS = compile_options(verify=1)  # gradients that are zero but for rounding change with the order of addition


class GraphcSide(Side):
    """graphc as it is compiled for a model's steps."""

    traces_results = False

    def __init__(self, floatx: str = "float32") -> None:
        super().__init__(graphc, floatx)

    def execute(
        self, function: Function, arrays: list[Array], state: Sequence[Any], trainable: Sequence[Any],
        wrt: Sequence[int], steps: int, rows: bool,
    ) -> tuple[list[Array], list[Array]]:  # fmt: skip
        tracer, fed = Tracer(Builder("case")), list(arrays)
        count = len(arrays[0]) if rows else None
        with tracing(tracer):
            xs = [self._input(tracer, array, count) for array in arrays]
            outputs, term = function(list(xs))
            outputs = [ops.convert_to_tensor(output) for output in outputs]
            loss = self._projected(tracer, outputs, fed, count) + (0.0 if term is None else term)
            sources = [*(xs[i] for i in wrt), *trainable]
            gradients = graphc.gradients(loss, sources) if sources else []
            for weight, gradient in zip(trainable, gradients[len(wrt) :], strict=True):
                weight.assign(weight - RATE * gradient)
            tracer.finish()
        graph = tracer.builder.build([tensor.value for tensor in (*outputs, *gradients)])
        executable = compiler.compile_graph(graph, OPTIONS, tracer.bindings)
        runs = [executable.run(fed, count) for _ in range(steps)]
        return runs[0][: len(outputs)], runs[0][len(outputs) :]

    @staticmethod
    def _input(tracer: Tracer, array: Array, rows: int | None) -> Tensor:
        shape = array.shape if rows is None else (Rows(rows + SPARE), *array.shape[1:])
        return tracer.input("x", shape, array.dtype)

    def _projected(self, tracer: Tracer, outputs: list[Tensor], fed: list[Array], rows: int | None) -> Any:
        """The weighted sum of all floats; weights of batches are fed as inputs of their own."""
        total: Any = 0.0
        for output in outputs:
            if output.dtype.startswith("float"):
                total = total + ops.sum(output * self._weights(tracer, output, fed, rows))
        return ops.convert_to_tensor(total)

    @staticmethod
    def _weights(tracer: Tracer, output: Tensor, fed: list[Array], rows: int | None) -> Any:
        first = output.shape[0] if output.shape else None
        if not isinstance(first, Rows):
            return projection(concrete(output.shape)).astype(output.dtype)
        assert rows is not None, "the case has no batch"
        fed.append(projection((rows * first.per, *concrete(output.shape[1:]))).astype(output.dtype))
        return tracer.input("projection", output.shape, output.dtype)
