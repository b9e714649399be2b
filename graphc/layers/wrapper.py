"""Layers around another layer."""

from __future__ import annotations

from typing import Any

from graphc import initializers, ops, tree
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer, static_shape
from graphc.tensor import current_tracer


class Wrapper(Layer):
    """Base of layers that hold another layer, `layer`."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                f"Layer {layer} supplied to Wrapper isn't a supported layer type. Please ensure wrapped layer is a "
                "valid Keras layer."
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self) -> dict[str, Any]:
        from graphc import layers

        return {**super().get_config(), "layer": layers.serialize(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        from graphc import layers

        options = dict(config)
        return cls(layers.deserialize(options.pop("layer"), custom_objects), **options)


class TimeDistributed(Wrapper):
    """A layer applied to every step of (n, steps, ...), with the same weights.

    Steps are computed together, as n * steps samples, unless the layer has state that every step changes (moving
    statistics, random numbers): then one after the other, as Keras does.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                f"Please initialize `TimeDistributed` layer with a `keras.layers.Layer` instance. Received: {layer}"
            )
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        super().build(_of_one_step(input_shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = self.layer.compute_output_shape(_of_one_step(input_shape))
        return (shape[0], input_shape[1], *shape[1:])

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            _check_mask(mask, inputs)
        options = {} if training is None else {"training": training}
        takes_mask = mask is not None and self.layer._call_takes("mask")
        if training and self._changes_state:
            return self._step_by_step(inputs, mask if takes_mask else None, options)
        if takes_mask:
            options["mask"] = _merged(mask)
        outputs = self.layer(_merged(inputs), **options)
        steps = inputs.shape[:2]
        return tree.map_structure(lambda x: ops.reshape(x, (*steps, *x.shape[1:])), outputs)

    @property
    def _changes_state(self) -> bool:
        layers = self.layer._flatten_layers()
        return bool(self.layer.non_trainable_weights) or any(layer._seed_generators for layer in layers)

    def _step_by_step(self, inputs: Any, mask: Any, options: dict[str, Any]) -> Any:
        outputs = []
        for step in range(int(inputs.shape[1])):
            masked = {} if mask is None else {"mask": mask[:, step]}
            outputs.append(self.layer(inputs[:, step], **options, **masked))
        return tree.map_structure(lambda *steps: ops.stack(list(steps), axis=1), *outputs)


def _of_one_step(shape: Any) -> tuple[int | None, ...]:
    if not isinstance(shape, (tuple, list)) or len(shape) < 3:
        raise ValueError(
            f"`TimeDistributed` Layer should be passed an `input_shape` with at least 3 dimensions, received: {shape}"
        )
    return (shape[0], *shape[2:])


def _merged(x: Any) -> Any:
    """(n, steps, ...) as (n * steps, ...)."""
    return ops.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


def _check_mask(mask: Any, inputs: Any) -> None:
    have, wanted = static_shape(mask.shape), static_shape(inputs.shape)
    if len(have) < 2:
        raise ValueError(
            "The `mask` passed to the `TimeDistributed` layer must be at least 2D (e.g., `(batch_size, timesteps)`), "
            f"but it has {len(have)} dimension(s) with shape {have}."
        )
    if any(None not in (a, b) and a != b for a, b in zip(have[:2], wanted[:2], strict=True)):
        raise ValueError(
            f"The `mask` passed to the `TimeDistributed` layer has a shape {have} that is incompatible with the input "
            f"shape {wanted}. The first two dimensions of the mask (batch size and timesteps) must match the input's "
            f"first two dimensions. Expected mask shape prefix: ({wanted[0]}, {wanted[1]})."
        )


class SpectralNormalization(Wrapper):
    """A layer that, while training, computes with its kernel divided by the kernel's largest singular value.

    That value is estimated by `power_iterations` steps of the power method, whose vector is kept from call to call
    (Miyato et al. 2018). Gradients go through the division; the kernel itself stays as the optimizer left it.
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ValueError(
                f"`power_iterations` should be greater than zero. Received: `power_iterations={power_iterations}`"
            )
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        kernel = getattr(self.layer, "kernel", None)
        kernel = getattr(self.layer, "embeddings", None) if kernel is None else kernel
        if kernel is None:
            raise ValueError(f"{type(self.layer).__name__} object has no attribute 'kernel' nor 'embeddings'")
        self.kernel = kernel
        self.vector_u = self.add_weight(
            (1, kernel.shape[-1]), initializers.TruncatedNormal(stddev=0.02), kernel.dtype, trainable=False,
            name="vector_u",
        )  # fmt: skip

    def call(self, inputs: Any, training: bool = False) -> Any:
        tracer = current_tracer()
        if not training or tracer is None:
            return self.layer(inputs)
        kernel = tracer.read(self.kernel)
        # read by the layer, but no assignment: gradients are those of the kernel as it is
        tracer.current[self.kernel] = self._normalized(kernel).value
        try:
            return self.layer(inputs)
        finally:
            tracer.current[self.kernel] = kernel.value

    def _normalized(self, kernel: Any) -> Any:
        """The kernel over its largest singular value; a kernel of zeros stays. Keeps the new vector."""
        matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
        fixed = ops.stop_gradient(matrix)
        u = self.vector_u.value
        for _ in range(self.power_iterations):
            v = _unit(ops.matmul(u, ops.transpose(fixed)))
            u = _unit(ops.matmul(v, fixed))
        is_zero = ops.all(ops.equal(fixed, 0.0))
        self.vector_u.assign(ops.where(is_zero, self.vector_u.value, u))
        sigma = ops.sum(ops.matmul(v, matrix) * u)
        return kernel / ops.where(is_zero, 1.0, sigma)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}


def _unit(x: Any) -> Any:
    return ops.normalize(x, axis=-1)  # one row: also the norm of the whole
