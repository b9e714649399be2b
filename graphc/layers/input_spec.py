"""What a layer takes: rank, dtype and sizes of its inputs, and the errors when they do not fit."""

from __future__ import annotations

from typing import Any

from graphc import tree


class InputSpec:
    """Wanted rank, shape and sizes of single axes of one input; None: anything."""

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional


def check_inputs(spec: Any, inputs: Any, layer_name: str, advice: str = "") -> None:
    """ValueError in Keras's words if the inputs do not fit the spec(s)."""
    specs, tensors = tree.flatten(spec), tree.flatten(inputs)
    if len(tensors) != len(specs):
        raise ValueError(
            f'Layer "{layer_name}" expects {len(specs)} input(s), but it received {len(tensors)} input tensors. '
            f"Inputs received: {inputs}"
        )
    for index, (wanted, x) in enumerate(zip(specs, tensors, strict=True)):
        if wanted is not None and x is not None:
            _check_one(wanted, _known(x.shape), index, layer_name, advice)


def _known(shape: Any) -> tuple[int | None, ...]:
    from graphc.ir.types import Rows

    return tuple(None if dim is None or isinstance(dim, Rows) else int(dim) for dim in shape)


def _check_one(spec: InputSpec, shape: tuple[int | None, ...], index: int, layer: str, advice: str) -> None:
    where = f"Input {index} with name '{spec.name}' of layer '{layer}' is incompatible with the layer: "
    rank = len(shape)
    if spec.ndim is not None and rank != spec.ndim and not spec.allow_last_axis_squeeze:
        raise ValueError(f"{where}expected ndim={spec.ndim}, found ndim={rank}. Full shape received: {shape}{advice}")
    if spec.max_ndim is not None and rank > spec.max_ndim:
        raise ValueError(f"{where}expected max_ndim={spec.max_ndim}, found ndim={rank}{advice}")
    if spec.min_ndim is not None and rank < spec.min_ndim:
        raise ValueError(
            f"{where}expected min_ndim={spec.min_ndim}, found ndim={rank}. Full shape received: {shape}{advice}"
        )
    for axis, size in spec.axes.items():
        if size is not None and shape[axis] not in {size, None}:
            raise ValueError(
                f"{where}expected axis {axis} of input shape to have value {size}, but received input with shape "
                f"{shape}{advice}"
            )
    _check_shape(spec, shape, where, advice)


def _check_shape(spec: InputSpec, shape: tuple[int | None, ...], where: str, advice: str) -> None:
    if spec.shape is None:
        return
    wanted = spec.shape
    if spec.allow_last_axis_squeeze and len(shape) != len(wanted):
        longer, shorter = (shape, wanted) if len(shape) > len(wanted) else (wanted, shape)
        if len(longer) == len(shorter) + 1 and longer[-1] == 1:
            return
    fits = len(shape) == len(wanted) and all(
        w is None or s is None or w == s for w, s in zip(wanted, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{where}expected shape={spec.shape}, found shape={shape}{advice}")
