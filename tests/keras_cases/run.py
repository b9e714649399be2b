"""What is done with each case: construct, write and read the configuration, run on tensors, differentiate, train.

A side (`keras_side.KerasSide`, `graphc_side.GraphcSide`) runs a function on tensors the way its package trains: jitted
by JAX, or traced and compiled natively.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_cases import functions, layers, sequences, training
from keras_cases.draw import Array, Case, Draw, constructed, find

TABLES: dict[str, dict[str, Callable[[Draw], Case]]] = {
    "activations": functions.ACTIVATIONS,
    "constraints": functions.CONSTRAINTS,
    "initializers": functions.INITIALIZERS,
    "layers": layers.LAYERS | sequences.SEQUENCES,
    "losses": training.LOSSES,
    "metrics": training.METRICS,
    "optimizers": training.OPTIMIZERS,
    "optimizers.schedules": functions.SCHEDULES,
    "regularizers": functions.REGULARIZERS,
}
"""The cases of each public module, by class or function."""

RATE = 0.01  # of the gradient descent that trains layers
Function = Callable[[list[Any]], tuple[list[Any], Any]]
"""Tensors to output tensors and an additional term of the loss (or None)."""


class Side(ABC):
    """A package under comparison. floatx: the type of floats it computes in."""

    traces_results = True  # whether metrics have a result within a step

    def __init__(self, k: Any, floatx: str) -> None:
        self.k, self.floatx = k, floatx
        k.config.set_floatx(floatx)

    @abstractmethod
    def execute(
        self, function: Function, arrays: list[Array], state: Sequence[Any], trainable: Sequence[Any],
        wrt: Sequence[int], steps: int, rows: bool,
    ) -> tuple[list[Array], list[Array]]:  # fmt: skip
        """Run a function so many times; (the first run's outputs, gradients by the inputs `wrt` and by `trainable`).

        The gradients are those of the function's term plus the `projected` outputs. After each run every variable of
        `state` holds what was assigned to it, and those of `trainable` a step of gradient descent by RATE. rows: the
        first axis of the arrays is a batch.
        """

    def cast(self, array: Array) -> Array:
        return array.astype(self.floatx) if array.dtype.kind == "f" else array


def projection(shape: tuple[int, ...]) -> Array:
    """Weights for the sum of an output: every element has its own."""
    size = int(np.prod(shape))
    weights: Array = np.cos(1.3 * np.arange(size) + 0.7).reshape(shape)
    return weights


def config_text(configured: Any) -> str:
    """A configuration as text, without the numbers by which a process shares objects."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items() if key != "shared_object_id"}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value.item() if isinstance(value, np.generic) else value

    return json.dumps(plain(configured.get_config()), sort_keys=True, default=str)


def outcomes(side: Side, kind: str, name: str, number: int) -> dict[str, Array]:
    """What a side gives for a case, by name. Nothing of a float64 run is kept that draws numbers."""
    d = Draw(f"{kind}.{name}", number)
    case = TABLES[kind][name](d)
    side.k.config.set_floatx(side.floatx)
    side.k.utils.clear_session(free_memory=False)
    side.k.utils.set_random_seed(d.seed % 2**31)
    made = find(side.k, f"{kind}.{name}")
    if kind != "activations":
        given = {"name": "case"} if kind in ("layers", "losses", "metrics", "optimizers") else {}
        made = made(**constructed(side.k, case.options), **given)
    found: dict[str, Any] = {}
    if hasattr(made, "get_config"):
        found["config"] = config_text(made)
        found["config of a copy"] = config_text(type(made).from_config(made.get_config()))
    found |= RUNNERS.get(kind, run_function)(side, made, case, d)
    if side.floatx == "float64":
        found = {} if case.is_random else {key: value for key, value in found.items() if not key.startswith("drawn")}
    return {key: np.asarray(value) for key, value in found.items()}


def gradient_inputs(case: Case) -> Sequence[int]:
    floats = [i for i, array in enumerate(case.inputs) if array.dtype.kind == "f"]
    return floats if case.wrt is None else case.wrt


def named(
    side: Side, function: Function, case: Case, state: Sequence[Any] = (), trainable: Sequence[Any] = (), *,
    steps: int = 1, wrt: Sequence[int] | None = None, rows: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The results of a run under readable names."""
    inputs = [side.cast(array) for array in case.inputs]
    wrt = gradient_inputs(case) if wrt is None else wrt
    outputs, gradients = side.execute(function, inputs, state, trainable, wrt, steps, rows)
    labels = [f"input {i}" for i in wrt] + [f"weight {i}" for i in range(len(trainable))]
    return {
        **{f"output {i}": value for i, value in enumerate(outputs)},
        **{f"gradient of {label}": value for label, value in zip(labels, gradients, strict=True)},
        **{f"variable {i} after {steps} runs": np.asarray(v) for i, v in enumerate(state)},
    }


def tensors_of(side: Side, structure: Any) -> list[Any]:
    return [leaf for leaf in side.k.tree.flatten(structure) if leaf is not None]


def run_function(side: Side, made: Any, case: Case, d: Draw) -> dict[str, Any]:
    """Activations, regularizers and constraints: a function of one tensor."""
    options = {} if hasattr(made, "get_config") else case.options
    return named(side, lambda xs: (tensors_of(side, made(xs[0], **options)), None), case, rows=False)


def run_schedule(side: Side, made: Any, case: Case, d: Draw) -> dict[str, Any]:
    return named(side, lambda xs: ([made(x) for x in xs], None), case, rows=False)


def run_initializer(side: Side, made: Any, case: Case, d: Draw) -> dict[str, Any]:
    return {"drawn values": np.asarray(made(case.inputs[0].shape))}


def run_loss(side: Side, made: Any, case: Case, d: Draw) -> dict[str, Any]:
    return named(side, lambda xs: ([made(*xs)], None), case)


def run_metric(side: Side, made: Any, case: Case, d: Draw) -> dict[str, Any]:
    """Two updates, the second with weights, then the result. Values alone for Mean and Sum."""

    def update(xs: list[Any]) -> tuple[list[Any], None]:
        batch = len(xs) // 2
        made.update_state(*xs[:batch])
        made.update_state(*xs[batch:-1], sample_weight=xs[-1])
        return (tensors_of(side, made.result()) if side.traces_results else []), None

    if type(made).__name__ in ("AUC", "F1Score", "FBetaScore", "R2Score"):
        made.update_state(*case.inputs[:2])  # the first labels make their variables
        made.reset_state()
    found = named(side, update, case, made.variables)
    results = [] if side.traces_results else tensors_of(side, made.result())
    return {**{f"output {i}": np.asarray(value) for i, value in enumerate(results)}, **found}


def run_optimizer(side: Side, made: Any, case: Case, d: Draw) -> dict[str, Any]:
    """Ten steps by gradients that depend on the weights."""
    weights = [side.k.Variable(side.cast(d.floats(*array.shape)), name=f"w{i}") for i, array in enumerate(case.inputs)]
    made.build(weights)

    def step(xs: list[Any]) -> tuple[list[Any], None]:
        made.apply([x + 0.5 * weight for x, weight in zip(xs, weights, strict=True)], weights)
        return [], None

    slots = [
        variable.path.split("/")[-1] for variable in made.variables if "w0" in variable.path or "w1" in variable.path
    ]
    found = named(side, step, case, [*weights, *made.variables], wrt=(), steps=case.steps, rows=False)
    return {"names of slots": slots, **found}


def run_layer(side: Side, made: Any, case: Case, d: Draw) -> dict[str, Any]:
    shapes = [array.shape for array in case.inputs]
    single = len(shapes) == 1
    made.build(*(shapes if single or case.spread else [shapes]))
    open_shapes = [(None, *shape[1:]) for shape in shapes]
    found: dict[str, Any] = {
        "output shape": str(
            tuple(made.compute_output_shape(*(open_shapes if single or case.spread else [open_shapes])))
        ),
        **{f"drawn weight {i}": value for i, value in enumerate(made.get_weights())},
    }
    if single and (mask := made.compute_mask(case.inputs[0], None)) is not None:
        found["mask"] = mask
    made.set_weights([side.cast(random_weight(d, weight)) for weight in made.weights])
    is_masked = case.takes_mask and len(shapes[0]) > 2 and d.flag()
    if is_masked:
        case.inputs.append(d.mask(*shapes[0][:2]))

    def call(xs: list[Any]) -> tuple[list[Any], Any]:
        """At inference, then in training, as one function: half as much to compile."""
        masked = {"mask": xs.pop()} if is_masked else {}
        arguments = xs if single or case.spread else [xs]
        outputs = [made(*arguments, training=training, **masked) for training in (False, True)]
        return tensors_of(side, outputs), sum(made.losses, 0.0)

    state = [*made.trainable_variables, *made.non_trainable_variables]
    return found | named(side, call, case, state, made.trainable_variables, steps=case.steps)


def random_weight(d: Draw, weight: Any) -> Array:
    """Values for a weight; variances and scales are positive."""
    if any(word in weight.path for word in ("variance", "gamma")):
        return d.positive(*weight.shape, low=0.5, high=1.5)
    return d.floats(*weight.shape, scale=0.4)


RUNNERS: dict[str, Callable[[Side, Any, Case, Draw], dict[str, Any]]] = {
    "layers": run_layer,
    "losses": run_loss,
    "metrics": run_metric,
    "optimizers": run_optimizer,
    "optimizers.schedules": run_schedule,
    "initializers": run_initializer,
}
