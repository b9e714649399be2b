"""A recurrent layer in both directions."""

from __future__ import annotations

from typing import Any

from graphc import ops
from graphc.layers.layer import Layer

MERGES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Layer):
    """Runs a recurrent layer forwards, and a copy of it (or `backward_layer`) backwards, and merges what they return.

    merge_mode: "concat", "sum", "mul", "ave", or None for both outputs. Sequences of the backward layer are turned
    round, so that both belong to the same steps. `initial_state`: the forward layer's states, then the backward's.
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                f"Please initialize `Bidirectional` layer with a `keras.layers.Layer` instance. Received: {layer}"
            )
        if backward_layer is not None and not isinstance(backward_layer, Layer):
            raise ValueError(f"`backward_layer` need to be a `keras.layers.Layer` instance. Received: {backward_layer}")
        if merge_mode not in MERGES:
            raise ValueError(
                f"Invalid merge mode. Received: {merge_mode}. Merge mode should be one of "
                '{"sum", "mul", "ave", "concat", None}'
            )
        super().__init__(**kwargs)
        self.forward_layer = _copy(layer, "forward_")
        if backward_layer is None:
            backward_layer = _copy(layer, "backward_", go_backwards=True)
        self.backward_layer = backward_layer
        self._check_directions()
        for each in (self.forward_layer, self.backward_layer):
            if getattr(each, "zero_output_for_mask", None) is not None:
                each.zero_output_for_mask = each.return_sequences
        self.merge_mode = merge_mode
        self.stateful = self.forward_layer.stateful
        self.return_sequences = self.forward_layer.return_sequences
        self.return_state = self.forward_layer.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_directions(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                "Forward layer and backward layer should have different `go_backwards` value. Received: "
                f"forward_layer.go_backwards {forward.go_backwards}, "
                f"backward_layer.go_backwards={backward.go_backwards}"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            ours, theirs = getattr(forward, name), getattr(backward, name)
            if ours != theirs:
                raise ValueError(
                    "Forward layer and backward layer are expected to have the same value for attribute "
                    f'"{name}", got "{ours}" for forward layer and "{theirs}" for backward layer'
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        output = self.forward_layer.compute_output_shape(sequences_shape)
        states: tuple[Any, ...] = ()
        if self.return_state:
            output, states = output[0], tuple(output[1:])
        if self.merge_mode is None:
            return (output, output, *states, *states) if self.return_state else [output, output]
        if self.merge_mode == "concat":
            output = (*output[:-1], output[-1] * 2)
        return (output, *states, *states) if self.return_state else output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        mask = previous_mask[0] if isinstance(previous_mask, list) else previous_mask
        if not self.return_sequences:
            mask = None
        output = (mask, mask) if self.merge_mode is None else mask
        if not self.return_state:
            return output
        states = [None] * (2 * len(self.forward_layer.state_size))
        return [*(output if isinstance(output, tuple) else (output,)), *states]

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        half = len(initial_state) // 2 if initial_state is not None else 0
        firsts = (None, None) if initial_state is None else (initial_state[:half], initial_state[half:])
        results = []
        for layer, first in zip((self.forward_layer, self.backward_layer), firsts, strict=True):
            options = {"training": training} if layer._call_takes("training") and training is not None else {}
            results.append(layer(sequences, initial_state=first, mask=mask, **options))
        states: tuple[Any, ...] = ()
        if self.return_state:
            states = (*results[0][1:], *results[1][1:])
            results = [result[0] for result in results]
        ahead, back = results
        output = self._merged(ahead, ops.flip(back, axis=1) if self.return_sequences else back)
        if self.merge_mode is None:
            return (*output, *states)
        return (output, *states) if self.return_state else output

    def _merged(self, ahead: Any, back: Any) -> Any:
        match self.merge_mode:
            case "concat":
                return ops.concatenate([ahead, back], axis=-1)
            case "sum":
                return ahead + back
            case "ave":
                return (ahead + back) / 2
            case "mul":
                return ahead * back
        return ahead, back

    @property
    def states(self) -> Any:
        """The kept states of both layers, or None."""
        ahead, back = self.forward_layer.states, self.backward_layer.states
        return (*ahead, *back) if ahead and back else None

    def reset_state(self) -> None:
        """Begin the next batch with zeros. AttributeError if nothing is kept."""
        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> dict[str, Any]:
        from graphc import layers

        inner = {name: layers.serialize(getattr(self, name)) for name in ("forward_layer", "backward_layer")}
        own = {
            "merge_mode": self.merge_mode,
            "layer": inner["forward_layer"],
            "backward_layer": inner["backward_layer"],
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        from graphc import layers

        options = dict(config)
        for name in ("layer", "backward_layer"):
            if options.get(name) is not None:
                options[name] = layers.deserialize(options[name], custom_objects)
        return cls(**options)


def _copy(layer: Any, prefix: str, **changes: Any) -> Any:
    """A fresh layer of the same configuration under a prefixed name."""
    config = {**layer.get_config(), "name": prefix + layer.name.removeprefix(prefix), **changes}
    return type(layer).from_config(config)
