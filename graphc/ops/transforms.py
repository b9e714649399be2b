"""Functions of functions: scans in parallel, functions of scalars over tensors, gradients of one's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from graphc import tree
from graphc.ops.control import vectorized_map
from graphc.ops.dispatch import convert, op
from graphc.ops.shapes import broadcast_to, concatenate, get_item, normal_axis, reshape
from graphc.primitives import functions as fn
from graphc.tensor import KerasTensor, Tensor, current_tracer
from graphc.tracing import contains

__all__ = ["associative_scan", "custom_gradient", "vectorize"]


@op
def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Element k along the axis is f over the elements up to k, for an associative f of two (structures of) tensors, by
    log2(n) calls of f."""
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    leaves = [convert(leaf) for leaf in tree.flatten(elems)]
    at = normal_axis(axis, leaves[0].ndim)
    sizes = {int(leaf.shape[at]) for leaf in leaves}
    if len(sizes) != 1:
        raise ValueError(f"associative_scan: all tensors must have one size along axis {axis}. Received: {sizes}")
    (count,) = sizes
    step = 1
    while step < count:
        first = [_part(leaf, at, 0, count - step) for leaf in leaves]
        second = [_part(leaf, at, step, count) for leaf in leaves]
        earlier, later = (second, first) if reverse else (first, second)
        joined = tree.flatten(f(*(tree.pack_sequence_as(elems, part) for part in (earlier, later))))
        if reverse:
            leaves = [
                concatenate([new, _part(x, at, count - step, count)], at) for x, new in zip(leaves, joined, strict=True)
            ]
        else:
            leaves = [concatenate([_part(x, at, 0, step), new], at) for x, new in zip(leaves, joined, strict=True)]
        step *= 2
    return tree.pack_sequence_as(elems, leaves)


def _part(x: Any, axis: int, start: int, stop: int) -> Any:
    return get_item(x, (slice(None),) * axis + (slice(start, stop),))


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """The function of scalars, made to work on tensors, which broadcast; arguments of the positions (or keywords)
    `excluded` are passed as they are."""
    if signature is not None:
        raise NotImplementedError(f"vectorize: signature={signature!r} is not supported; write the loop with ops.map")
    kept = frozenset(excluded or ())

    @functools.wraps(pyfunc)
    def call(*args: Any, **kwargs: Any) -> Any:
        places = [i for i in range(len(args)) if i not in kept]
        return _over_elements(pyfunc, args, kwargs, places)

    return call


@op
def _over_elements(pyfunc: Callable[..., Any], args: Any, kwargs: dict[str, Any], places: list[int]) -> Any:
    tensors = [convert(args[i]) for i in places]
    shape = fn.broadcast_shapes(*(t.type for t in tensors))
    flat = [reshape(broadcast_to(t, shape), (-1,)) for t in tensors]

    def once(elements: Any) -> Any:
        chosen = dict(zip(places, elements, strict=True))
        return pyfunc(*(chosen.get(i, value) for i, value in enumerate(args)), **kwargs)

    found = vectorized_map(once, flat)
    return tree.map_structure(lambda leaf: reshape(leaf, shape), found)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives f(*args)[0]; on arrays only, where nothing is differentiated.

    In a graph it raises NotImplementedError: gradients of ops are rules of the compiler, not Python functions.
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if current_tracer() is not None or contains(KerasTensor, (args, kwargs)) or contains(Tensor, (args, kwargs)):
            raise NotImplementedError(
                f"custom_gradient: {f.__name__} cannot be part of a graph, which has the gradients of its ops only. "
                "Write the value with ops whose gradient is the wanted one; ops.stop_gradient cuts terms off"
            )
        return f(*args, **kwargs)[0]

    return call
