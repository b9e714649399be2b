"""The loop over the steps of a sequence: `RNN`, and cells stacked into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc import ops, regularizers, tree
from graphc.ir.types import Rows
from graphc.layers.layer import Layer
from graphc.layers.recurrent.cells import Dropping
from graphc.tensor import current_tracer
from graphc.variables import Variable


class RNN(Layer):
    """Runs a cell over (n, steps, ...): the output of the last step, or of all of them with `return_sequences`.

    `cell` has `state_size`, `output_size`, and `call(inputs, states) -> (output, states)`; a list of cells is stacked.
    A masked step changes nothing: states and output stay those of the step before (with `zero_output_for_mask` its
    output is zero). `go_backwards` begins with the last step and returns sequences in the order of computation.
    `stateful` begins where the last batch ended. `unroll` is accepted: the compiler decides.
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        _check_cell(cell)
        super().__init__(**kwargs)
        self.zero_output_for_mask = zero_output_for_mask
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.supports_masking = True
        self.input_spec = None
        self.states: Any = None
        sizes = cell.state_size
        self.state_size = [sizes] if isinstance(sizes, int) else list(sizes)
        self.single_state = isinstance(sizes, int)

    # ---- building

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
            self.cell.built = True
        if self.stateful and self.states is None:
            if sequences_shape[0] is None:
                raise ValueError(
                    "When using `stateful=True` in a RNN, the batch size must be static. Found dynamic batch size: "
                    f"sequence.shape={tuple(sequences_shape)}"
                )
            zeros = self.get_initial_state(int(sequences_shape[0]))
            # not by ordinary assignment: kept states are no weights of the layer
            object.__setattr__(self, "states", tree.map_structure(self._state_variable, zeros))

    def _state_variable(self, value: Any) -> Variable:
        return Variable(value, trainable=False, dtype=self.variable_dtype, name="rnn_state")

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The states before the first step: what the cell says, else zeros."""
        if (own := getattr(self.cell, "get_initial_state", None)) is not None:
            found = own(batch_size=batch_size)
            return list(found) if tree.is_nested(found) else [found]
        return [ops.zeros((batch_size, size), dtype=self.cell.compute_dtype) for size in self.state_size]

    def reset_state(self) -> None:
        """Begin the next batch with zeros."""
        for state in tree.flatten(self.states):
            if state is not None:
                state.assign(ops.zeros(state.shape, dtype=state.dtype))

    reset_states = reset_state

    # ---- shapes and masks

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        batch, length = sequences_shape[:2]
        size = self._output_size()
        output = (batch, length, size) if self.return_sequences else (batch, size)
        if not self.return_state:
            return output
        return (output, *tree.map_structure(lambda width: (batch, width), self.state_size))

    def _output_size(self) -> int:
        size = getattr(self.cell, "output_size", None)
        return int(self.state_size[0] if size is None else size)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        mask = next(iter(tree.flatten(previous_mask)), None)
        output = mask if self.return_sequences else None
        return [output, *(None for _ in self.state_size)] if self.return_state else output

    # ---- calling

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        states = self._first_states(sequences, initial_state)
        if sequences.shape[1]:  # at inference too: the same numbers are used up as in Keras
            self._draw_masks(self.cell, sequences[:, 0], states)
        outputs, last, states = self._loop(sequences, states, _checked_mask(mask, sequences, self.name), training)
        self._forget_masks(self.cell)
        if self.stateful:
            for variable, state in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                variable.assign(_all_rows(state, variable.shape[0]))
        output = outputs if self.return_sequences else last
        return (output, *states) if self.return_state else output

    def _first_states(self, sequences: Any, given: Any) -> list[Any]:
        batch = ops.shape(sequences)[0]
        if given is None:
            given = self._kept_states(batch) if self.stateful else self.get_initial_state(batch)
        states = list(given) if tree.is_nested(given) else [given]
        if len(states) != len(self.state_size):
            raise ValueError(
                f"Layer '{self.name}' has {len(self.state_size)} states, but `initial_state` has {len(states)}"
            )
        kind = getattr(self.cell, "compute_dtype", self.compute_dtype)
        return list(tree.map_structure(lambda x: ops.cast(ops.convert_to_tensor(x), kind), states))

    def _kept_states(self, batch: Any) -> Any:
        expected = tree.flatten(self.states)[0].shape[0]
        if int(batch) != expected:
            raise ValueError(
                "If an RNN is stateful, the batch size of the input sequences must be the same as the batch size of "
                f"the initial state. \n- Expected batch size: {expected}\n- Received batch size: {int(batch)}"
            )
        self._refuse_other_batches(batch, expected)
        rows = ops.arange(batch)
        return tree.map_structure(lambda variable: ops.take(variable, rows, axis=0), self.states)

    def _refuse_other_batches(self, batch: Any, expected: int) -> None:
        """A check at run time: a short batch would leave the states of its missing rows behind."""
        tracer = current_tracer()
        if tracer is not None and isinstance(batch, Rows):
            message = f"layer {self.name} is stateful: every batch needs {expected} rows"
            tracer.builder.check(ops.cast(ops.not_equal(batch, expected), "int32").value, message)

    def _loop(self, sequences: Any, states: Any, mask: Any, training: bool) -> tuple[Any, Any, Any]:
        """(all outputs, the last output, the last states)."""
        is_state = self._output_is_state()
        takes_training = isinstance(self.cell, Layer) and self.cell._call_takes("training")
        options = {"training": training} if takes_training else {}

        def step(before: Any, x: Any) -> Any:
            inputs, kept = (x, None) if mask is None else x
            output, after = self.cell(inputs, before, **options)
            after = list(after) if tree.is_nested(after) else [after]
            if kept is not None:
                output, after = self._masked(kept, output, before, after)
            return after, output if self.return_sequences or not is_state else None

        major = _steps_first(sequences)
        xs = major if mask is None else (major, _steps_first(mask))
        states, outputs = ops.scan(step, states, xs, length=sequences.shape[1], reverse=self.go_backwards)
        if outputs is None:
            return None, self._state_of_output(states), states
        last = self._state_of_output(states) if is_state else outputs[0 if self.go_backwards else -1]
        if not self.return_sequences:
            return None, last, states
        return _steps_first(ops.flip(outputs, axis=0) if self.go_backwards else outputs), last, states

    def _output_is_state(self) -> bool:
        """Whether the last state tells the last output."""
        return bool(getattr(self.cell, "output_is_state", False)) and not self.zero_output_for_mask

    def _state_of_output(self, states: Any) -> Any:
        """The state that is the output of cells whose output is a state."""
        return tree.flatten(states[-1] if isinstance(self.cell, StackedRNNCells) else states)[0]

    def _masked(self, kept: Any, output: Any, before: Any, after: Any) -> tuple[Any, Any]:
        old = ops.zeros_like(output) if self.zero_output_for_mask else self._state_of_output(before)
        new = tree.map_structure(lambda b, a: _where(kept, a, b), before, after)
        return _where(kept, output, old), new

    def _draw_masks(self, cell: Any, inputs: Any, states: Any) -> None:
        if isinstance(cell, Dropping):
            cell.draw_masks(inputs, states[0] if isinstance(states, (list, tuple)) else states)
        if isinstance(cell, StackedRNNCells):
            for inner, state in zip(cell.cells, states, strict=True):
                self._draw_masks(inner, inputs, state)
                inputs, _ = inner(inputs, list(state) if tree.is_nested(state) else [state])

    def _forget_masks(self, cell: Any) -> None:
        if isinstance(cell, Dropping):
            cell.forget_masks()
        for inner in cell.cells if isinstance(cell, StackedRNNCells) else ():
            self._forget_masks(inner)

    # ---- configuration

    def get_config(self) -> dict[str, Any]:
        from graphc import layers

        return {**super().get_config(), **self.options(), "cell": layers.serialize(self.cell)}

    def options(self) -> dict[str, Any]:
        """The arguments beside the cell, in config form."""
        names = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        from graphc import layers

        options = dict(config)
        return cls(layers.deserialize(options.pop("cell"), custom_objects), **options)


class OwnCell(RNN):
    """A recurrent layer that makes its cell; the cell's options are the layer's."""

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("cell")
        if cell is not None and not name.startswith("_") and name in cell.options():
            return getattr(cell, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def get_config(self) -> dict[str, Any]:
        penalty = {"activity_regularizer": regularizers.serialize(self.activity_regularizer)}
        return {**Layer.get_config(self), **self.options(), **self.cell.options(), **penalty}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        return cls(**config)


class StackedRNNCells(Layer):
    """Cells one above the other, as one cell: the output of each is the input of the next."""

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            _check_cell(cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        return _size_of(self.cells[-1])

    @property
    def output_is_state(self) -> bool:
        return bool(getattr(self.cells[-1], "output_is_state", False))

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (input_shape[0], _size_of(cell))

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        return [self._zeros(cell, batch_size) for cell in self.cells]

    def _zeros(self, cell: Any, batch_size: Any) -> Any:
        if (own := getattr(cell, "get_initial_state", None)) is not None:
            return own(batch_size=batch_size)
        return tree.map_structure(lambda size: ops.zeros((batch_size, size), dtype=self.compute_dtype), cell.state_size)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        after = []
        for cell, state in zip(self.cells, states, strict=True):
            options = {"training": training} if isinstance(cell, Layer) and cell._call_takes("training") else {}
            is_list = tree.is_nested(state)
            inputs, new = cell(inputs, list(state) if is_list else [state], **options)
            after.append(new if is_list or len(new) > 1 else new[0])
        return inputs, after

    def get_config(self) -> dict[str, Any]:
        from graphc import layers

        return {**super().get_config(), "cells": [layers.serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        from graphc import layers

        options = dict(config)
        return cls([layers.deserialize(cell, custom_objects) for cell in options.pop("cells")], **options)


def _check_cell(cell: Any) -> None:
    if "call" not in dir(cell):
        raise ValueError(f"Argument `cell` should have a `call` method. Received: cell={cell}")
    if "state_size" not in dir(cell):
        raise ValueError(
            "The RNN cell should have a `state_size` attribute (single integer or list of integers, one integer per "
            f"RNN state). Received: cell={cell}"
        )
    if not isinstance(cell.state_size, (int, list, tuple)):
        raise ValueError(
            "state_size must be an integer, or a list/tuple of integers (one for each state tensor). "
            f"Received: state_size={cell.state_size}"
        )


def _size_of(cell: Any) -> Any:
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size


def _steps_first(x: Any) -> Any:
    """The first two axes exchanged."""
    return ops.transpose(x, (1, 0, *range(2, len(x.shape))))


def _where(kept: Any, new: Any, old: Any) -> Any:
    """new where the mask (n,) holds, else old."""
    return ops.where(ops.reshape(kept, (kept.shape[0], *([1] * (len(new.shape) - 1)))), new, old)


def _checked_mask(mask: Any, sequences: Any, name: str) -> Any:
    """The mask as bool (n, steps). ValueError for another shape."""
    mask = next(iter(tree.flatten(mask)), None)
    if mask is None:
        return None
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    if len(mask.shape) == 3 and mask.shape[2] == 1:
        mask = ops.squeeze(mask, axis=-1)
    if len(mask.shape) != 2 or mask.shape[1] != sequences.shape[1]:
        raise ValueError(
            f"Layer '{name}' was given a mask of shape {tuple(mask.shape)} for sequences of shape "
            f"{tuple(sequences.shape)}; wanted (batch, steps)"
        )
    return mask


def _all_rows(state: Any, batch: int) -> Any:
    """The state of a whole batch as a tensor whose first axis is a plain number."""
    return ops.reshape(ops.segment_sum(state, ops.arange(ops.shape(state)[0]), batch), (batch, *state.shape[1:]))
