"""`keras.ops`: control flow. Loops have a fixed number of steps; branches are all computed and one is chosen."""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.loops import run_loop
from graphc.ops.dispatch import F, builder, cast_to, convert, op, result_type, tracer
from graphc.primitives import functions as fn
from graphc.tensor import KerasTensor, Tensor, current_tracer
from graphc.tracing import contains, run_eagerly

__all__ = ["cond", "fori_loop", "map", "scan", "switch", "vectorized_map", "while_loop"]


def _op_or(concrete: Callable[..., Any]) -> Callable[[F], F]:
    """`op` for a function whose value outside of graphs `concrete` computes, step by step.

    While a graph is traced it is never asked: what is called may read tensors that no argument shows.
    """

    def decorate(function: F) -> F:
        traced = op(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            is_eager = current_tracer() is None and not contains(KerasTensor, (args, kwargs))
            return (concrete if is_eager else traced)(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


@op
def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """`carry, y = f(carry, x)` for every element x along the first axis of `xs`; returns (last carry, stacked ys).

    init, xs and y are tensors or nested structures of them, y may be None; the carry keeps its types. `length`: the
    number of steps, needed without `xs` (x is None then). `reverse` runs from the last element to the first, y stays at
    its element's place. `unroll` is accepted: the compiler decides. `f` may use tensors, layers and variables around
    it, and assign variables. ValueError if a carry changes its type.
    """
    _check_scan(f, xs, length, unroll)
    first = [convert(leaf) for leaf in tree.flatten(init)]
    sequences = [convert(leaf) for leaf in tree.flatten(xs)] if xs is not None else []
    steps = int(length) if length is not None else sequences[0].shape[0]
    shape_of_y: list[Any] = []

    def step(carries: list[Tensor], parts: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        x = tree.pack_sequence_as(xs, parts) if xs is not None else None
        carry, y = f(tree.pack_sequence_as(init, carries), x)
        shape_of_y[:] = [y]
        return _leaves_like(init, carry), [convert(leaf) for leaf in tree.flatten(y) if leaf is not None]

    last, stacked = run_loop(tracer(), step, first, sequences, steps, bool(reverse))
    results = iter(stacked)
    ys = tree.map_structure(lambda leaf: None if leaf is None else next(results), shape_of_y[0])
    return tree.pack_sequence_as(init, last), ys


def _check_scan(f: Any, xs: Any, length: Any, unroll: Any) -> None:
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(f"`unroll` must be an positive integer or boolean. Received: unroll={unroll}")
    if xs is None and length is None:
        raise ValueError("Got no `xs` to scan over and `length` not provided.")


def _leaves_like(wanted: Any, found: Any) -> list[Tensor]:
    """The leaves of a structure as tensors. ValueError if it differs from the wanted one."""
    leaves = tree.flatten(found)
    if len(leaves) != len(tree.flatten(wanted)):
        raise ValueError(
            "a step must return what it was given in the same structure: wanted "
            f"{len(tree.flatten(wanted))} tensors, got {len(leaves)}"
        )
    return [convert(leaf) for leaf in leaves]


@op
def map(f: Callable[..., Any], xs: Any) -> Any:
    """`f` of every element along the first axis of `xs`, stacked; both may be nested structures."""
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]


@op
def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
    """As `map`; a tuple or list of tensors reaches `function` as one list."""
    listed = list(elements) if isinstance(elements, tuple) else elements
    return map(function, listed)


def _concrete_fori(lower: Any, upper: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
    return run_eagerly(fori_loop, (operator.index(lower), operator.index(upper), body_fun, init_val), {})


@_op_or(_concrete_fori)
def fori_loop(lower: int, upper: int, body_fun: Callable[..., Any], init_val: Any) -> Any:
    """`value = body_fun(i, value)` for i from lower to upper - 1, starting with `init_val`. Returns the last value.

    TypeError if a bound is a tensor: the number of steps of a compiled loop is fixed (`while_loop` with
    `maximum_iterations` stops earlier).
    """
    if contains(Tensor, (lower, upper)):
        raise TypeError("fori_loop: lower and upper must be numbers when a graph is traced; use while_loop")
    start, steps = operator.index(lower), max(operator.index(upper) - operator.index(lower), 0)
    counter = fn.iota(builder(), (steps,), 0) if steps else fn.constant(builder(), np.zeros(0, np.int32))
    numbers = Tensor(fn.add(builder(), counter, start))
    last, _ = scan(lambda value, i: (body_fun(i, value), None), init_val, numbers)
    return last


def _concrete_while(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """The loop itself, on arrays."""
    is_tuple = isinstance(loop_vars, (tuple, list))
    variables = tuple(loop_vars) if is_tuple else (loop_vars,)
    count = 0
    while (maximum_iterations is None or count < maximum_iterations) and bool(cond(*variables)):
        found = body(*variables)
        variables = tuple(found) if isinstance(found, (list, tuple)) else (found,)
        count += 1
    return variables if is_tuple else variables[0]


@_op_or(_concrete_while)
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """`loop_vars = body(*loop_vars)` while `cond(*loop_vars)`. Returns the last loop_vars.

    In a graph the loop runs `maximum_iterations` steps, of which those after the first false condition change nothing.
    ValueError without that bound; on arrays the loop needs none.
    """
    if maximum_iterations is None:
        raise ValueError("while_loop: a compiled loop needs a bound on its steps; pass `maximum_iterations`")
    is_tuple = isinstance(loop_vars, (tuple, list))
    variables = tuple(loop_vars) if is_tuple else (loop_vars,)

    def step(state: Any, _: Any) -> Any:
        going, values = state
        going = Tensor(fn.logical_and(builder(), going.value, _scalar(cond(*values), "while_loop's condition").value))
        found = body(*values)
        found = tuple(found) if isinstance(found, (list, tuple)) else (found,)
        return (going, _chosen(going, found, values)), None

    (_, last), _ = scan(step, (convert(True), variables), length=maximum_iterations)
    return last if is_tuple else last[0]


def _concrete_cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    return true_fn() if bool(pred) else false_fn()


@_op_or(_concrete_cond)
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`true_fn()` if the scalar `pred` is true, else `false_fn()`.

    In a graph both are computed and `pred` chooses among their results, and among the values they assign to variables;
    the results must have the same structure and shapes. A Python bool decides while tracing.
    """
    if isinstance(pred, (bool, np.bool_)):
        return true_fn() if pred else false_fn()
    return _branch(_scalar(pred, "cond's `pred`"), true_fn, false_fn)


def _concrete_switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    return branches[builtins.min(builtins.max(int(index), 0), len(branches) - 1)](*operands)


@_op_or(_concrete_switch)
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`, with index brought into range.

    In a graph all branches are computed and `index` chooses, as in `cond`.
    """
    number = cast_to(convert(index), "int32")

    def pick(first: int) -> Any:
        if first == len(branches) - 1:
            return branches[first](*operands)
        is_first = Tensor(fn.le(builder(), number.value, first))
        return _branch(is_first, lambda: branches[first](*operands), lambda: pick(first + 1))

    return pick(0)


def _scalar(pred: Any, what: str) -> Tensor:
    tensor = cast_to(convert(pred), "bool")
    if tensor.value.type.size != 1:
        raise ValueError(f"{what} must be a scalar, got {tensor!r}")
    return Tensor(fn.reshape(builder(), tensor.value, ()))


def _branch(pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """The results of one of two branches, and the values that branch leaves in variables."""
    trace = tracer()
    before = dict(trace.current)
    first, held_first = true_fn(), dict(trace.current)
    # a variable that only a branch reads holds its value from before the step
    trace.current = {**trace.inputs, **before}
    second, held_second = false_fn(), dict(trace.current)
    trace.current = {**trace.inputs, **before}
    for variable in dict.fromkeys([*held_first, *held_second]):
        start = trace.read(variable).value
        one, other = held_first.get(variable, start), held_second.get(variable, start)
        if one != other:
            trace.assign(variable, Tensor(fn.select(builder(), pred.value, one, other)))
    return _chosen(pred, first, second)


def _chosen(pred: Tensor, first: Any, second: Any) -> Any:
    """One of two structures of tensors. ValueError if structures or shapes differ."""
    tree.assert_same_structure(first, second)
    return tree.map_structure(lambda x, y: _chosen_leaf(pred, x, y), first, second)


def _chosen_leaf(pred: Tensor, x: Any, y: Any) -> Any:
    if x is None and y is None:
        return None
    kind = result_type(x, y)
    one, other = convert(x, kind), convert(y, kind)
    if one.shape != other.shape:
        raise ValueError(f"both branches must give the same shape, got {one.shape} and {other.shape}")
    return Tensor(fn.select(builder(), pred.value, one.value, other.value))
