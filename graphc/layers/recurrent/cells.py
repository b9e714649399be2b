"""The cells of recurrent layers: (inputs of one step, states) -> (output, next states)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphc import activations, initializers, ops, random
from graphc.layers.core import serialized_weight_options, take_weight_options
from graphc.layers.layer import Layer
from graphc.random import SeedGenerator

WEIGHTS = ("kernel", "recurrent", "bias")


class Dropping:
    """What cells with dropout share: masks that are drawn once a call and are the same in every step."""

    dropout: float
    recurrent_dropout: float
    seed_generator: SeedGenerator
    mask_count: int | None = None  # so many masks, one for each gate; None: one for all

    _masks: Any = None
    _recurrent_masks: Any = None

    def draw_masks(self, inputs: Any, state: Any) -> None:
        """The masks of one call, for the inputs of a step and the first state."""
        self._masks = self._drawn(inputs, self.dropout)
        self._recurrent_masks = self._drawn(state, self.recurrent_dropout)

    def forget_masks(self) -> None:
        self._masks = self._recurrent_masks = None

    def _drawn(self, like: Any, rate: float) -> Any:
        if rate <= 0:
            return None
        ones = ops.ones_like(like)
        masks = [random.dropout(ones, rate, seed=self.seed_generator) for _ in range(self.mask_count or 1)]
        return masks if self.mask_count else masks[0]

    def dropped(self, inputs: Any, training: bool) -> Any:
        """The inputs of the step without what is dropped: one tensor, or one for each gate."""
        return self._without(inputs, self.dropout, self._masks, training)

    def dropped_state(self, state: Any, training: bool) -> Any:
        return self._without(state, self.recurrent_dropout, self._recurrent_masks, training)

    def _without(self, x: Any, rate: float, masks: Any, training: bool) -> Any:
        if not training or not 0 < rate < 1:
            return [x] * self.mask_count if self.mask_count else x
        if masks is None:  # the cell is called alone: this step is the whole call
            masks = self._drawn(x, rate)
        return [x * mask for mask in masks] if self.mask_count else x * masks


class RecurrentCell(Layer, Dropping):
    """A cell with a kernel for the inputs, one for the state, and a bias, for `gates` gates side by side."""

    gates: ClassVar[int] = 1
    bias_initializer: Any
    draws_first = False  # whether the seed of the masks is drawn before those of the weights, as Keras does in one cell
    output_is_state = True  # the first state is the output

    def __init__(
        self,
        units: int,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(units, int) or units <= 0:
            raise ValueError(
                f"Received an invalid value for argument `units`, expected a positive integer, got {units}."
            )
        self.units = units
        if self.draws_first:
            self.seed_generator = SeedGenerator(seed)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        take_weight_options(self, locals(), *WEIGHTS)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.seed = seed
        if not self.draws_first:
            self.seed_generator = SeedGenerator(seed)
        self.state_size: Any = units
        self.output_size = units

    def build(self, input_shape: Any) -> None:
        width = self.units * self.gates
        self.kernel = self._weight("kernel", (input_shape[-1], width))
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, width), "recurrent")
        self.bias = self._weight("bias", self._bias_shape()) if self.use_bias else None

    def _weight(self, name: str, shape: tuple[int, ...], options: str = "") -> Any:
        prefix = options or name
        return self.add_weight(
            shape,
            self._bias_values() if name == "bias" else getattr(self, f"{prefix}_initializer"),
            name=name,
            regularizer=getattr(self, f"{prefix}_regularizer"),
            constraint=getattr(self, f"{prefix}_constraint"),
        )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.units * self.gates,)

    def _bias_values(self) -> Any:
        return self.bias_initializer

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for every state."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.options()}

    def options(self) -> dict[str, Any]:
        """The arguments of the cell's constructor, in config form."""
        found = {"units": self.units, "activation": activations.serialize(self.activation), "use_bias": self.use_bias}
        found |= serialized_weight_options(self, *WEIGHTS)
        return {**found, "dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout, "seed": self.seed}


class SimpleRNNCell(RecurrentCell):
    """h = activation(x kernel + bias + h recurrent_kernel)."""

    draws_first = True

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip

    def call(self, sequence: Any, states: Any, training: bool = False) -> Any:
        before = states[0] if isinstance(states, (list, tuple)) else states
        h = ops.matmul(self.dropped(sequence, training), self.kernel)
        if self.bias is not None:
            h = h + self.bias
        h = self.activation(h + ops.matmul(self.dropped_state(before, training), self.recurrent_kernel))
        return h, [h] if isinstance(states, (list, tuple)) else h


class LSTMCell(RecurrentCell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), gates in the order input, forget, cell, output.

    c = f c + i activation(.), h = o activation(c); the states are [h, c].
    """

    gates = 4

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        self.implementation = 1 if self.recurrent_dropout else implementation
        self.mask_count = self.gates if self.implementation == 1 else None
        self.state_size = [units, units]

    def _bias_values(self) -> Any:
        return forgetting(self.bias_initializer, self.units) if self.unit_forget_bias else self.bias_initializer

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        i, f, candidate, o = gated(self, inputs, h, training)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(candidate)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]

    def options(self) -> dict[str, Any]:
        own = {"recurrent_activation": activations.serialize(self.recurrent_activation)}
        return {**super().options(), **own, "unit_forget_bias": self.unit_forget_bias}


def forgetting(initializer: Callable[..., Any], units: int) -> Callable[..., Any]:
    """The values of four biases: ones for the forget gate, the initializer's for the others."""

    def values(_: Any, dtype: Any = None) -> Any:
        ones = initializers.get("ones")
        parts = [
            initializer((units,), dtype=dtype),
            ones((units,), dtype=dtype),
            initializer((2 * units,), dtype=dtype),
        ]
        return ops.concatenate(parts)

    return values


def gated(cell: Any, inputs: Any, h: Any, training: bool) -> list[Any]:
    """What goes into each gate: inputs times kernel plus state times recurrent kernel plus bias."""
    x, h = cell.dropped(inputs, training), cell.dropped_state(h, training)
    if cell.mask_count is None:
        z = ops.matmul(x, cell.kernel) + ops.matmul(h, cell.recurrent_kernel)
        return list(ops.split(z if cell.bias is None else z + cell.bias, cell.gates, axis=-1))
    kernels, recurrent = (ops.split(w, cell.gates, axis=1) for w in (cell.kernel, cell.recurrent_kernel))
    pairs = zip(x, kernels, h, recurrent, strict=True)
    z = [ops.matmul(a, k) + ops.matmul(b, r) for a, k, b, r in pairs]
    if cell.bias is None:
        return z
    return [part + bias for part, bias in zip(z, ops.split(cell.bias, cell.gates, axis=0), strict=True)]


class GRUCell(RecurrentCell):
    """Gated recurrent unit (Cho et al., 2014), gates in the order update, reset, candidate.

    h = z h + (1 - z) activation(.). With `reset_after` the reset gate acts on the state's product with its kernel,
    which has a bias of its own; without, on the state.
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after
        self.implementation = 1 if self.recurrent_dropout else implementation
        self.mask_count = self.gates if self.implementation == 1 else None

    def _bias_shape(self) -> tuple[int, ...]:
        width = self.units * self.gates
        return (2, width) if self.reset_after else (width,)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h = states[0] if isinstance(states, (list, tuple)) else states
        x = self._products(self.dropped(inputs, training), self.kernel, self._bias(0))
        dropped = self.dropped_state(h, training)
        first = dropped if self.mask_count is None else dropped[0]
        if self.reset_after:
            inner = self._products(dropped, self.recurrent_kernel, self._bias(1))
        else:
            both = self.recurrent_kernel[:, : 2 * self.units]
            inner = self._products(dropped if self.mask_count is None else dropped[:2], both, None)
        z = self.recurrent_activation(x[0] + inner[0])
        r = self.recurrent_activation(x[1] + inner[1])
        if self.reset_after:
            candidate = r * inner[2]
        else:
            state = first if self.mask_count is None else dropped[2]
            candidate = ops.matmul(r * state, self.recurrent_kernel[:, 2 * self.units :])
        new = z * h + (1 - z) * self.activation(x[2] + candidate)
        return new, [new] if isinstance(states, (list, tuple)) else new

    def _bias(self, row: int) -> Any:
        if self.bias is None:
            return None
        return self.bias[row] if self.reset_after else self.bias if row == 0 else None

    def _products(self, x: Any, kernel: Any, bias: Any) -> list[Any]:
        """x times each gate's part of the kernel, plus the bias."""
        gates = kernel.shape[1] // self.units
        if self.mask_count is None:
            product = ops.matmul(x, kernel)
            return list(ops.split(product if bias is None else product + bias, gates, axis=-1))
        found = [ops.matmul(part, k) for part, k in zip(x, ops.split(kernel, gates, axis=1), strict=True)]
        if bias is None:
            return found
        return [part + b for part, b in zip(found, ops.split(bias, gates, axis=0), strict=True)]

    def options(self) -> dict[str, Any]:
        own = {"recurrent_activation": activations.serialize(self.recurrent_activation)}
        return {**super().options(), **own, "reset_after": self.reset_after}
