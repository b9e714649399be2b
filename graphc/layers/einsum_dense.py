"""Dense layers whose products are given by an equation."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from graphc import activations, constraints, initializers, ops, regularizers
from graphc.layers.core import refuse_adapters, serialized_weight_options
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer

_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class WeightShapes(NamedTuple):
    """Shapes of kernel and bias, and which axes of the kernel are summed over and which go into the output."""

    kernel: tuple[int, ...]
    bias: tuple[int, ...] | None
    input_axes: list[int]
    output_axes: list[int]


class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias), such as "ab,bc->ac" or "...x,xy->...y".

    output_shape: the output's sizes without the batch (and without what an ellipsis on the left stands for).
    bias_axes: the output labels the bias has, None for no bias.
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse_adapters(self, lora_rank, quantization_config)
        self.equation = equation
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        shapes = weight_shapes(self.equation, self.bias_axes, tuple(input_shape), self.partial_output_shape)
        self.input_spec = InputSpec(ndim=len(input_shape))
        self.kernel = self.add_weight(
            shapes.kernel, self._initializer(shapes), name="kernel", regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )  # fmt: skip
        self.bias = None
        if shapes.bias is not None:
            self.bias = self.add_weight(
                shapes.bias, self.bias_initializer, name="bias", regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )  # fmt: skip

    def _initializer(self, shapes: WeightShapes) -> Any:
        """The kernel's initializer, with fans over the axes that are summed over and produced."""
        given = self.kernel_initializer
        if not isinstance(given, initializers.VarianceScaling) or None not in (given.input_axes, given.output_axes):
            return given
        axes = {"input_axes": shapes.input_axes, "output_axes": shapes.output_axes}
        return given.from_config({**given.get_config(), "seed": given.seed, **axes})

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_shape": self.partial_output_shape,
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            **serialized_weight_options(self, "kernel", "bias"),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "quantization_config": None,
        }


def weight_shapes(
    equation: str, bias_axes: str | None, input_shape: tuple[int | None, ...], output_shape: tuple[int | None, ...]
) -> WeightShapes:
    """What the equation makes of the shapes. ValueError if it is malformed or sizes do not fit."""
    match = _EQUATION.fullmatch(equation.replace(" ", ""))
    parts = ["" if part is None else str(part) for part in match.groups()] if match else [""] * 7
    before, left, after, weight, before_result, result, after_result = parts
    if not match or before != before_result or after != after_result or (before and after):
        raise ValueError(
            f"Invalid einsum equation '{equation}'. Equations must be in the form [X],[Y]->[Z], ...[X],[Y]->...[Z], or "
            "[X]...,[Y]->[Z]...."
        )
    elided = len(input_shape) - len(left)
    sizes = dict(zip(left, input_shape[elided if before else 0 :], strict=False))
    made = output_shape if before and elided else (input_shape[0], *output_shape)
    results = dict(zip(result, made, strict=False))
    _check_shared(sizes, results)
    kernel = tuple(_size_of(label, results, sizes, left, result) for label in weight)
    bias = None
    if bias_axes is not None:
        bias = _bias_shape(bias_axes, result, results) + (1,) * (elided if after else 0)
    summed = [axis for axis, label in enumerate(weight) if label not in results]
    return WeightShapes(kernel, bias, summed, [axis for axis in range(len(weight)) if axis not in summed])


def _check_shared(sizes: dict[str, Any], results: dict[str, Any]) -> None:
    for label in sizes.keys() & results.keys():
        if results[label] is not None and results[label] != sizes[label]:
            raise ValueError(
                f"Input shape and output shape do not match at shared dimension '{label}'. Input shape is "
                f"{sizes[label]}, and output shape is {results[label]}."
            )


def _size_of(label: str, results: dict[str, Any], sizes: dict[str, Any], left: str, result: str) -> Any:
    if label not in results and label not in sizes:
        raise ValueError(
            f"Weight dimension '{label}' did not have a match in either the input spec '{left}' or the output spec "
            f"'{result}'. For this layer, the weight must be fully specified."
        )
    return results[label] if label in results else sizes[label]


def _bias_shape(bias_axes: str, result: str, results: dict[str, Any]) -> tuple[int, ...]:
    for label in bias_axes:
        if label not in results:
            raise ValueError(f"Bias dimension '{label}' was requested, but is not part of the output spec '{result}'")
    first = min(result.index(label) for label in bias_axes)
    return tuple(results[label] if label in bias_axes else 1 for label in result[first:])
