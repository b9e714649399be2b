"""Layers that combine several inputs into one, and their function forms."""

from __future__ import annotations

from typing import Any

from graphc import ops
from graphc.layers.layer import Layer, static_shape


class Merge(Layer):
    """Base: combines a list of inputs pair by pair; shapes broadcast."""

    # the least and, for Subtract, the most inputs
    least, most = 1, 10**9

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        name = type(self).__name__
        if not isinstance(input_shape, (list, tuple)) or not isinstance(input_shape[0], (list, tuple)):
            raise ValueError(
                f"A merge layer should be called on a list of inputs. Received: input_shape={input_shape} (not a list "
                "of shapes)"
            )
        if not self.least <= len(input_shape) <= self.most:
            if self.most == 2:
                raise ValueError(
                    f"A `{name}` layer should be called on exactly 2 inputs. Received: input_shape={input_shape}"
                )
            raise ValueError(
                f"A merge layer should be called on a list of at least {self.least} input. Received "
                f"{len(input_shape)} inputs. "
                f"Full input_shape received: {input_shape}"
            )
        self._check_shapes([tuple(shape) for shape in input_shape])

    def _check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        for shape in shapes[1:]:
            for a, b in zip(reversed(shapes[0]), reversed(shape), strict=False):
                if None not in (a, b) and a != b and 1 not in (a, b):
                    raise ValueError(
                        f"Inputs have incompatible shapes. Received shapes {shapes[0][1:]} and {shape[1:]}"
                    )

    def call(self, inputs: Any) -> Any:
        output = inputs[0]
        for other in inputs[1:]:
            output = self._combine(output, other)
        return output

    def _combine(self, x: Any, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say how to combine two inputs")

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Valid where any input is valid."""
        masks = previous_mask or []
        if not masks or any(mask is None for mask in masks):
            return None
        combined = masks[0]
        for mask in masks[1:]:
            combined = ops.logical_or(combined, mask)
        return combined


class Add(Merge):
    """The sum."""

    def _combine(self, x: Any, y: Any) -> Any:
        return ops.add(x, y)


class Subtract(Merge):
    """The first minus the second."""

    least = most = 2

    def _combine(self, x: Any, y: Any) -> Any:
        return ops.subtract(x, y)


class Multiply(Merge):
    """The product."""

    def _combine(self, x: Any, y: Any) -> Any:
        return ops.multiply(x, y)


class Average(Merge):
    """The mean."""

    def _combine(self, x: Any, y: Any) -> Any:
        return ops.add(x, y)

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) / len(inputs)


class Maximum(Merge):
    """The element-wise maximum."""

    def _combine(self, x: Any, y: Any) -> Any:
        return ops.maximum(x, y)


class Minimum(Merge):
    """The element-wise minimum."""

    def _combine(self, x: Any, y: Any) -> Any:
        return ops.minimum(x, y)


class Concatenate(Merge):
    """Joined along an axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def _check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        def others(shape: tuple[int | None, ...]) -> list[int | None]:
            return [size for axis, size in enumerate(shape) if axis != self.axis % len(shape)]

        ranks = {len(shape) for shape in shapes}
        first = others(shapes[0])
        fits = len(ranks) == 1 and all(
            a is None or b is None or a == b for shape in shapes for a, b in zip(first, others(shape), strict=True)
        )
        if not fits:
            raise ValueError(
                "A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis. "
                "Received: "
                f"input_shape={shapes}"
            )

    def call(self, inputs: Any) -> Any:
        return ops.concatenate(list(inputs), axis=self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Valid where any feature of any input is; an input without a mask is valid."""
        if not previous_mask or all(mask is None for mask in previous_mask):
            return None
        wide = [_wide_mask(mask, x) for mask, x in zip(previous_mask, inputs, strict=True)]
        return ops.any(ops.concatenate(wide, self.axis), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def _wide_mask(mask: Any, x: Any) -> Any:
    """The mask with one entry per element of x."""
    if mask is None:
        return ops.ones_like(x, dtype="bool")
    if len(mask.shape) == len(x.shape):
        return mask
    return ops.logical_or(ops.expand_dims(mask, -1), ops.zeros_like(x, dtype="bool"))


class Dot(Layer):
    """The product of two inputs summed over one axis of each, batch by batch."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, int) and (not isinstance(axes, (list, tuple)) or len(axes) != 2):
            raise TypeError(f"Invalid type for argument `axes`: it should be a list or an int. Received: axes={axes}")
        self.axes = axes
        self.normalize = normalize
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape[0], (tuple, list)) or len(input_shape) != 2:
            raise ValueError(
                f"A `Dot` layer should be called on a list of 2 inputs. Received: input_shape={input_shape}"
            )
        first, second = input_shape
        left, right = self._axes_of(len(first), len(second))
        if first[left] != second[right]:
            raise ValueError(
                f"Incompatible input shapes: axis values {first[left]} (at axis {left}) != {second[right]} (at axis "
                f"{right}). Full input shapes: {first}, {second}"
            )

    def _axes_of(self, first_rank: int, second_rank: int) -> tuple[int, int]:
        both = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        left, right = both[0] % first_rank, both[1] % second_rank
        if 0 in (left, right):
            raise ValueError(
                "Cannot perform batch_dot over axis 0. If your inputs are not batched, add a dummy batch dimension to "
                "your inputs using keras.ops.expand_dims(x, 0)"
            )
        return left, right

    def call(self, inputs: Any) -> Any:
        x, y = inputs
        left, right = self._axes_of(len(x.shape), len(y.shape))
        if self.normalize:
            x, y = ops.normalize(x, axis=left), ops.normalize(y, axis=right)
        letters = "abcdefghijklmnopqrstuvw"
        x_labels = ["z", *letters[: len(x.shape) - 1]]
        y_labels = ["z", *letters[len(x.shape) - 1 : len(x.shape) + len(y.shape) - 2]]
        y_labels[right] = x_labels[left]
        result = [c for c in x_labels + y_labels[1:] if c != x_labels[left]]
        product = ops.einsum(f"{''.join(x_labels)},{''.join(y_labels)}->{''.join(result)}", x, y)
        return ops.expand_dims(product, 1) if len(static_shape(product.shape)) == 1 else product

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def add(inputs: Any, **kwargs: Any) -> Any:
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    return Dot(axes=axes, **kwargs)(inputs)
