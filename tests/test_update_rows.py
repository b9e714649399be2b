"""Rows of a table updated in place: where the gradient may stay sparse, where it must not, and that nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from fuzz import check_kernels, check_program

import graphc as keras
from graphc import layers, ops
from graphc.compiler import compile_graph
from graphc.ir.builder import Builder
from graphc.ir.cost import graph_work
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Role, Value
from graphc.ir.remarks import collect_remarks
from graphc.ir.types import DType, Rows, Shape, TensorType, concrete
from graphc.options import CompileOptions
from graphc.primitives import functions as fn
from passes.manager import pass_name, run_passes
from passes.memory import plan_memory
from passes.pipeline import PIPELINE
from passes.update_rows import update_rows

N = Rows(6)
TABLE = (67, 5)
DENSE = tuple(step for step in PIPELINE if step is not update_rows)
Update = Callable[[Builder, Value, Sequence[Value], Value], Value]
"""(builder, table, scatter-adds, rate) -> next table."""


def sgd(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    total = scatters[0]
    for scatter in scatters[1:]:
        total = fn.add(b, total, scatter)
    return fn.sub(b, table, fn.mul(b, total, rate))


def step(
    update: Update = sgd, *lookups: Shape, table: Shape = TABLE, dtype: DType = DType.F32, ids: DType = DType.I32
) -> Graph:
    """Looks up rows, returns a sum of them, and updates the table with scattered gradients that depend on them."""
    b = Builder("step")
    found = b.input("table", TensorType(table, dtype), Role.PARAM)
    rate = b.input("rate", TensorType((), dtype), Role.STATE)
    scatters, total = [], []
    for number, shape in enumerate(lookups or ((N, 4),)):
        places = b.input(f"ids{number}", TensorType(shape, ids))
        gradient = b.input(f"g{number}", TensorType((*shape, *table[1:]), dtype))
        rows = fn.gather(b, found, places)
        total.append(fn.sum(b, rows))
        scatters.append(fn.scatter_add(b, table, places, fn.mul(b, gradient, fn.cos(b, rows))))
    b.update(found, update(b, found, scatters, rate))
    return b.build(total)


def arrays_of(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Normal floats; ids with duplicates that leave many rows alone, a few of them out of range."""
    rng = np.random.default_rng(seed)

    def array(type: TensorType) -> Array:
        if type.dtype.is_float:
            return np.asarray(rng.standard_normal(concrete(type.shape)), type.dtype.numpy)
        return np.asarray(rng.integers(0, 70, concrete(type.shape)) // 4 * 4, type.dtype.numpy)

    return {value.name: array(value.type) for value in graph.inputs}


def is_sparse(graph: Graph) -> bool:
    after = run_passes(graph, PIPELINE[:-1], verify=2)
    names = [node.op.mnemonic for node in after.nodes]
    assert names.count("add_rows") + names.count("scatter_add") <= max(1, names.count("scatter_add"))
    return "add_rows" in names


def bits(array: Array) -> Array:
    return array.view(np.dtype(f"u{array.itemsize}"))


# ---- graphs


def scaled(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    step = fn.mul(b, 0.5, fn.neg(b, fn.div(b, scatters[0], 3.0)))
    return fn.add(b, fn.mul(b, rate, step), table)


def difference(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.sub(b, table, fn.mul(b, fn.sub(b, scatters[0], fn.neg(b, scatters[1])), rate))


SPARSE: dict[str, Graph] = {
    "plain": step(),
    "f64": step(dtype=DType.F64, ids=DType.I64),
    "row": step(sgd, (N,), table=(11,), ids=DType.U8),
    "wide": step(sgd, (7, 3), table=(67, 2, 37)),
    "one": step(sgd, ()),
    "scaled": step(scaled),
    "two lookups": step(sgd, (N, 4), (N,)),
    "three lookups": step(sgd, (N, 4), (N, 2, 3), (N,), table=(97, 5)),
    "without rows": step(difference, (3, 4), (7,)),
}


@pytest.mark.parametrize("name", SPARSE)
def test_native_code_agrees_and_leaves_other_rows_alone(name: str) -> None:
    graph = SPARSE[name]
    assert is_sparse(graph)
    arrays, rows = arrays_of(graph), 4 if graph.batch else 0
    fused = run_passes(graph, PIPELINE, verify=2)
    check_kernels(fused, arrays, rows)
    check_program(graph, arrays, rows)
    executable = compile_graph(graph, CompileOptions(threads=2, cache=False), bind={"table": arrays["table"].copy()})
    executable.state["rate"][...] = arrays["rate"]
    executable.run([arrays[value.name] for value in graph.inputs_of(Role.INPUT)])
    ids = [arrays[value.name] for value in graph.inputs if value.name.startswith("ids")]
    touched = {int(i) for each in ids for i in np.clip(each, 0, len(arrays["table"]) - 1).ravel()}
    others = [row for row in range(len(arrays["table"])) if row not in touched]
    assert others and touched
    after = executable.state["table"]
    np.testing.assert_array_equal(bits(after[others]), bits(arrays["table"][others]))
    assert not np.isclose(after[sorted(touched)], arrays["table"][sorted(touched)]).all()
    wanted = interpret(graph, {value: arrays[value.name] for value in graph.inputs})[len(graph.outputs)]
    np.testing.assert_allclose(after, wanted, rtol=1e-4, atol=1e-5)


def test_sums_of_duplicates_have_the_same_bits_for_any_threads() -> None:
    graph = step(sgd, (Rows(64), 50), table=(4000, 7))
    arrays = arrays_of(graph)
    found = []
    for threads in (1, 2, 3):
        exe = compile_graph(graph, CompileOptions(threads=threads, cache=False))
        for name, state in exe.state.items():
            state[...] = arrays[name]
        exe.run([arrays[value.name] for value in graph.inputs_of(Role.INPUT)])
        found.append(exe.state["table"].copy())
    np.testing.assert_array_equal(bits(found[0]), bits(found[1]))
    np.testing.assert_array_equal(bits(found[0]), bits(found[2]))
    # in the order of the ids, each term added to the table itself
    want = arrays["table"].copy()
    terms = -(arrays["g0"] * np.cos(want[np.clip(arrays["ids0"], 0, 3999)]) * arrays["rate"])
    np.add.at(want, np.clip(arrays["ids0"], 0, 3999), terms.astype("float32"))
    np.testing.assert_allclose(found[0], want, rtol=1e-5, atol=1e-5)


def random_step(seed: int) -> Graph:
    """Lookups of random shapes in a table of random size, combined at random by what keeps zeros zero."""
    rng = np.random.default_rng(seed)

    def pick(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    def scaled(b: Builder, value: Value, rate: Value) -> Value:
        for _ in range(rng.integers(0, 4)):
            match rng.integers(4):
                case 0:
                    value = fn.neg(b, value)
                case 1:
                    value = pick(lambda x: fn.mul(b, x, rate), lambda x: fn.mul(b, rate, x))(value)
                case 2:
                    value = fn.div(b, value, pick(1.5, -4.0))
                case 3:
                    value = fn.mul(b, pick(0.5, -3.0), value)
        return value

    def update(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
        total = scaled(b, scatters[0], rate)
        for scatter in scatters[1:]:
            total = scaled(b, pick(fn.add, fn.sub)(b, total, scaled(b, scatter, rate)), rate)
        change: Callable[[Builder, Value, Value], Value] = pick(fn.sub, fn.add)
        return change(b, table, total)

    lead = pick((), (Rows(5),), (Rows(5),))
    rests = [(), (3,), (2, 3)] if lead else [(4,), (3, 2), (7,)]
    shapes = [(*lead, *pick(*rests)) for _ in range(rng.integers(1, 4))]
    table = (int(rng.integers(100, 140)), *pick((), (1,), (4,), (7,), (16,), (37,), (2, 5)))
    return step(update, *shapes, table=table, dtype=pick(DType.F32, DType.F64), ids=pick(DType.I32, DType.I64))


@pytest.mark.parametrize("seed", range(8))
def test_random_updates_agree(seed: int) -> None:
    graph = random_step(seed)
    assert is_sparse(graph)
    check_program(graph, arrays_of(graph, seed), 3 if graph.batch else 0)


def decayed(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.sub(b, fn.sub(b, table, fn.mul(b, table, 0.01)), fn.mul(b, scatters[0], rate))


def clipped(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    norm = fn.sum(b, fn.square(b, scatters[0]))
    return fn.sub(b, table, fn.mul(b, scatters[0], fn.rsqrt(b, norm)))


def clamped(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.sub(b, table, fn.minimum(b, scatters[0], 0.5))


def per_element(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.sub(b, table, fn.mul(b, scatters[0], fn.exp(b, table)))


def not_zero(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.sub(b, table, fn.add(b, scatters[0], rate))


def divided(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.sub(b, table, fn.div(b, rate, scatters[0]))


def bounded(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.maximum(b, fn.sub(b, table, scatters[0]), 0.0)


def backwards(b: Builder, table: Value, scatters: Sequence[Value], rate: Value) -> Value:
    return fn.sub(b, scatters[0], table)


DENSE_UPDATES: dict[str, Graph] = {
    made.__name__: step(made)
    for made in (decayed, clipped, clamped, per_element, not_zero, divided, bounded, backwards)
} | {
    "as many ids as rows": step(sgd, (N, 12)),
    "half": step(dtype=DType.F16),
    "ids that do not join": step(sgd, (N, 2), (3,)),
}  # fmt: skip


@pytest.mark.parametrize("name", DENSE_UPDATES)
def test_what_may_change_other_rows_stays_dense(name: str) -> None:
    assert not is_sparse(DENSE_UPDATES[name])


def test_what_needs_the_old_table_or_the_gradient_stays_dense() -> None:
    def step_with(more: Callable[[Builder, Value, Value, Value], None]) -> tuple[bool, str]:
        b = Builder("step")
        table = b.input("table", TensorType(TABLE), Role.PARAM)
        ids, g = b.input("ids", TensorType((N,), DType.I32)), b.input("g", TensorType((N, 5)))
        scatter = fn.scatter_add(b, TABLE, ids, g)
        new = fn.sub(b, table, scatter)
        b.update(table, new)
        more(b, table, scatter, new)
        graph = b.build([fn.sum(b, g)])
        with collect_remarks() as remarks:
            after = update_rows(graph)
        if not graph.checks:
            check_program(graph, arrays_of(graph), 2)
        return after is graph, " ".join(map(str, remarks))

    def state(b: Builder, value: Value) -> None:
        b.update(b.input("more", value.type, Role.STATE), value)

    assert step_with(lambda b, table, scatter, new: None)[0] is False
    assert step_with(lambda b, table, scatter, new: state(b, fn.sum(b, new)))[0] is False
    assert step_with(lambda b, table, scatter, new: state(b, fn.sum(b, fn.exp(b, table))))[0] is False
    dense, why = step_with(lambda b, table, scatter, new: state(b, fn.sum(b, scatter)))
    assert dense and "is read elsewhere too" in why
    dense, why = step_with(lambda b, table, scatter, new: state(b, fn.sum(b, fn.mul(b, new, table))))
    assert dense and "reads the old table and the new one" in why
    dense, why = step_with(lambda b, table, scatter, new: state(b, new))
    assert dense and "another result" in why
    dense, why = step_with(
        lambda b, table, scatter, new: b.check(fn.cast(b, fn.gt(b, fn.max(b, new), 1e9), DType.I32), "too large")
    )
    assert dense and "a check reads the new table" in why


def test_a_view_of_the_table_may_be_what_is_added() -> None:
    b = Builder("turned")
    table = b.input("table", TensorType((5, 5)), Role.PARAM)
    ids = b.input("ids", TensorType((3,), DType.I32))
    part = fn.slice(b, fn.transpose(b, table, (1, 0)), (0, 0), (3, 5))
    b.update(table, fn.sub(b, table, fn.scatter_add(b, (5, 5), ids, part)))
    graph = b.build([fn.sum(b, table)])
    assert is_sparse(graph)
    check_program(graph, arrays_of(graph), 0)


def test_a_large_table_needs_no_memory_for_its_gradient() -> None:
    graph = step(sgd, (Rows(32), 10), table=(200_000, 8))
    sparse, dense = (plan_memory(run_passes(graph, passes)) for passes in (PIPELINE, DENSE))
    assert sparse.arena_bytes < 50_000 < 200_000 * 8 * 4 <= dense.arena_bytes
    assert not sparse.copies
    moved = [graph_work(plan.graph).nbytes for plan in (sparse, dense)]
    assert moved[0] < 200_000 < moved[1]


def test_the_pass_is_in_the_pipeline_and_leaves_other_graphs_as_they_are() -> None:
    names = [pass_name(each) for each in PIPELINE]
    assert names.index("update_rows") == names.index("fuse") - 1 > names.index("dce")
    b = Builder("other")
    w = b.input("w", TensorType((3, 4)), Role.PARAM)
    b.update(w, fn.sub(b, w, fn.mul(b, w, 0.5)))
    graph = b.build([fn.sum(b, w)])
    assert update_rows(graph) is graph
    once = update_rows(step())
    assert update_rows(once) is once


# ---- models

VOCABULARY = 90
OPTIMIZERS: dict[str, tuple[Callable[[], Any], bool]] = {
    "sgd": (lambda: keras.optimizers.SGD(0.5), True),
    "schedule": (lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 3, 0.5)), True),
    "loss scale": (lambda: keras.optimizers.SGD(0.5, loss_scale_factor=8.0), True),
    "averaged": (lambda: keras.optimizers.SGD(0.5, use_ema=True), True),
    "momentum": (lambda: keras.optimizers.SGD(0.5, momentum=0.9), False),
    "decay": (lambda: keras.optimizers.SGD(0.5, weight_decay=0.01), False),
    "global norm": (lambda: keras.optimizers.SGD(0.5, global_clipnorm=1.0), False),
    "norm": (lambda: keras.optimizers.SGD(0.5, clipnorm=0.1), False),
    "value": (lambda: keras.optimizers.SGD(0.5, clipvalue=1e-3), False),
    "accumulating": (lambda: keras.optimizers.SGD(0.5, gradient_accumulation_steps=2), False),
    "dynamic scale": (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)), False),
    "adagrad": (lambda: keras.optimizers.Adagrad(0.1), False),
    "adam": (lambda: keras.optimizers.Adam(0.01), False),
    "rmsprop": (lambda: keras.optimizers.RMSprop(0.01), False),
}  # fmt: skip


def model_of(optimizer: Any, **options: Any) -> Any:
    keras.utils.set_random_seed(3)
    table = layers.Embedding(VOCABULARY, 6, name="table", **options)
    inputs = keras.Input((4,), dtype="int32")
    outputs = layers.Dense(3)(layers.Flatten()(table(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def has_add_rows(model: Any) -> bool:
    return any("add_rows" in name for name in model.executable("train", batch_size=8).kernels)


def batches(rng: np.random.Generator) -> tuple[Array, Array]:
    """13 samples, a full batch and a short one, whose ids leave odd rows alone and repeat."""
    return rng.integers(0, 12, (13, 4)).astype("int32") * 2, rng.integers(0, 3, 13).astype("int32")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_agrees_with_the_dense_update(
    name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, sparse = OPTIMIZERS[name]
    x, y = batches(rng)
    model = model_of(make())
    before = model.get_layer("table").get_weights()[0]
    assert has_add_rows(model) is sparse
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    after = model.get_layer("table").get_weights()[0]
    if sparse:
        np.testing.assert_array_equal(bits(after[1::2]), bits(before[1::2]))
    assert not np.allclose(after[::2], before[::2], atol=1e-4)
    monkeypatch.setattr("passes.pipeline.PIPELINE", DENSE)
    monkeypatch.setenv("GRAPHC_CACHE", "0")
    dense = model_of(make())
    assert not has_add_rows(dense)
    dense.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for got, want in zip(model.get_weights(), dense.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_an_id_out_of_range_changes_nothing(rng: np.random.Generator) -> None:
    x, y = batches(rng)
    x[5, 2] = VOCABULARY
    model = model_of(keras.optimizers.SGD(0.5))
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"embedding id 90 is out of range .* \(row 5, position 2\)"):
        model.train_on_batch(x[:8], y[:8])
    for got, want in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(bits(got), bits(want))
    phases = model.executable("train", batch_size=8).program.phases
    assert max(i for i, p in enumerate(phases) if p.check >= 0) < min(i for i, p in enumerate(phases) if p.first_update)


def test_a_frozen_table_a_constrained_one_and_one_with_a_penalty_stay_dense() -> None:
    assert not has_add_rows(model_of(keras.optimizers.SGD(0.5), trainable=False))
    assert not has_add_rows(model_of(keras.optimizers.SGD(0.5), embeddings_constraint="non_neg"))
    assert not has_add_rows(model_of(keras.optimizers.SGD(0.5), embeddings_regularizer="l2"))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_adds_in_the_precision_of_the_table(policy: str, rng: np.random.Generator) -> None:
    x, y = batches(rng)
    model = model_of(keras.optimizers.SGD(0.5), dtype=policy)
    graph = model.executable("train", batch_size=8).graph("update_rows")
    kinds = [v.dtype for node in graph.nodes if node.op.mnemonic == "add_rows" for v in node.inputs]
    assert kinds == [DType.F32, DType.I32, DType.F32]
    before = model.get_layer("table").get_weights()[0]
    model.fit(x, y, batch_size=8, verbose=0)
    np.testing.assert_array_equal(bits(model.get_layer("table").get_weights()[0][1::2]), bits(before[1::2]))


def test_two_lookups_in_one_table(rng: np.random.Generator) -> None:
    def build() -> Any:
        keras.utils.set_random_seed(5)
        table = layers.Embedding(VOCABULARY, 6, name="table")
        one, two = keras.Input((4,), dtype="int32"), keras.Input((3,), dtype="int32")
        both = ops.concatenate([layers.Flatten()(table(one)), layers.Flatten()(table(two))], -1)
        model = keras.Model([one, two], layers.Dense(1)(both))
        model.compile(keras.optimizers.SGD(0.3), "mse")
        return model

    x = [rng.integers(0, 9, (11, 4)).astype("int32"), rng.integers(5, 20, (11, 3)).astype("int32")]
    y = rng.standard_normal((11, 1)).astype("float32")
    model = build()
    graph = model.executable("train", batch_size=8).graph("update_rows")
    assert [node.op.mnemonic for node in graph.nodes].count("add_rows") == 1
    table = model.get_layer("table")
    before = table.get_weights()[0]
    loss = model.train_on_batch([a[:8] for a in x], y[:8])
    assert np.isfinite(loss)
    after = table.get_weights()[0]
    np.testing.assert_array_equal(bits(after[20:]), bits(before[20:]))
    # the derivative in a row is the sum over both lookups
    kernel, bias = build().layers[-1].get_weights()
    rows = np.concatenate([before[a[:8]].reshape(8, -1) for a in x], 1)
    slope = 2 * (rows @ kernel + bias - y[:8]) / 8 @ kernel.T
    want = before.copy()
    np.add.at(want, np.concatenate([a[:8] for a in x], 1), -0.3 * slope.reshape(8, 7, 6))
    np.testing.assert_allclose(after, want, rtol=1e-4, atol=1e-6)
