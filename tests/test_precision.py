"""Half precision: stored and rounded natively as the interpreter says, trained like float32."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc as k
from graphc import layers as n
from graphc.compiler import compile_graph, gradients, prepare_forward
from graphc.ir.builder import Builder
from graphc.ir.interpret import interpret
from graphc.ir.op import REGISTRY
from graphc.ir.parse import parse_graph
from graphc.ir.text import print_graph
from graphc.ir.types import DType, Rows, TensorType
from graphc.options import CompileOptions
from graphc.primitives import functions as fn

HALVES = (DType.BF16, DType.F16)
# of the last place: sums in another order round differently
ULP = {DType.BF16: 2.0**-7, DType.F16: 2.0**-10}
OPTIONS = CompileOptions(cache=False, threads=1)


def native(builder: Builder, outputs: list[Any], arrays: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What native code and the interpreter give for a graph whose inputs all are data."""
    graph = builder.build(outputs)
    feed = [arrays[value.name] for value in graph.inputs]
    executable = compile_graph(graph, OPTIONS)
    return executable.run(feed), list(interpret(graph, dict(zip(graph.inputs, feed, strict=True))))


@pytest.mark.parametrize("half", HALVES)
def test_every_float_is_rounded_to_the_nearest_half(half: DType) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 4099, dtype=np.uint64).astype(np.uint32)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 65504, 65520, 1 + 2**-8, 1 + 3 * 2**-8], "float32")
    x = np.concatenate([bits.view("float32"), special])
    b = Builder("round")
    rounded = fn.cast(b, b.input("x", TensorType(x.shape)), half)
    (stored, wide), _ = native(b, [rounded, fn.cast(b, rounded, DType.F32)], {"x": x})
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = x.astype(half.numpy)
    known = ~np.isnan(x)
    np.testing.assert_array_equal(stored.view("uint16")[known], wanted.view("uint16")[known])
    np.testing.assert_array_equal(wide, wanted.astype("float32"))


@pytest.mark.parametrize("half", HALVES)
def test_native_halves_are_the_interpreters(half: DType) -> None:
    """Matmul, convolution, pooling, softmax, sums, gather, a transpose and their gradients, on a short batch too."""
    b = Builder("net")
    x = b.input("x", TensorType((Rows(9), 8, 7, 3)))
    kernel, dense = b.input("kernel", TensorType((3, 3, 3, 16))), b.input("dense", TensorType((16 * 9, 5)))
    h = fn.relu(b, fn.conv(b, fn.cast(b, x, half), fn.cast(b, kernel, half)))
    h = fn.max_pool(b, h, (2, 2), (2, 2), ((0, 0), (0, 1)))
    flat = fn.reshape(b, h, (h.shape[0], 16 * 9))
    logits = fn.mul(b, fn.matmul(b, flat, fn.cast(b, dense, half)), 0.25)
    found = fn.log_softmax(b, fn.add(b, logits, fn.cast(b, fn.iota(b, (5,), 0, DType.I32), half)))
    loss = fn.sum(b, fn.cast(b, fn.square(b, found), DType.F32))
    graph = prepare_forward(b.build([loss, found, fn.transpose(b, h, (0, 3, 1, 2))]))
    joint = gradients(graph, graph.outputs[0], [kernel, dense])
    assert {v.dtype for v in joint.outputs} == {DType.F32, half}
    rng = np.random.default_rng(1)
    feed = [rng.normal(size=value.type.shape).astype("float32") for value in joint.inputs]
    wanted = interpret(joint, dict(zip(joint.inputs, feed, strict=True)))
    for got, want in zip(compile_graph(joint, OPTIONS).run(feed), wanted, strict=True):
        got, want = got.astype("float64"), want.astype("float64")
        scale = np.abs(want).max()
        # a sum that ends on the other side of a rounding boundary moves what comes after it by one place
        np.testing.assert_allclose(got, want, rtol=4 * ULP[half], atol=2 * ULP[half] * scale)
    short = compile_graph(joint, OPTIONS).run([feed[0][:4], *feed[1:]], 4)
    np.testing.assert_allclose(
        short[1].astype("f4"), wanted[1][:4].astype("f4"), rtol=4 * ULP[half], atol=4 * ULP[half]
    )


@pytest.mark.parametrize("half", HALVES)
def test_halves_print_and_parse(half: DType) -> None:
    b = Builder("text")
    x = b.input("x", TensorType((Rows(4), 3), half))
    y = fn.add(b, fn.mul(b, x, 0.1), fn.constant(b, np.array([1.5, -0.3, 1e-7]), half))
    text = print_graph(b.build([y]))
    assert f"{half.value}[n,3]" in text
    assert print_graph(parse_graph(text, REGISTRY)) == text


def network(**options: Any) -> Any:
    k.utils.set_random_seed(0)
    stack = [
        k.Input((10, 10, 2)),
        n.Conv2D(8, 3, activation="relu"),
        n.BatchNormalization(),
        n.MaxPooling2D(),
        n.Dropout(0.1),
        n.Flatten(),
        n.LayerNormalization(),
        n.Dense(3),
        n.Activation("softmax", dtype="float32", name="probabilities"),
    ]
    model = k.Sequential(stack)
    model.compile(k.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


IMAGES = np.random.default_rng(5).normal(size=(96, 10, 10, 2)).astype("float32")
LABELS = (IMAGES.mean((1, 2)) @ [1.0, -1.0] > 0).astype(int) + (IMAGES[:, 3, 3, 0] > 1)


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_a_policy_trains_like_float32(name: str) -> None:
    plain = network().fit(IMAGES, LABELS, batch_size=32, epochs=3, verbose=0).history["loss"]
    k.config.set_dtype_policy(name)
    model = network()
    losses = model.fit(IMAGES, LABELS, batch_size=32, epochs=3, verbose=0).history["loss"]
    compute, stored = model.layers[0].compute_dtype, model.layers[0].variable_dtype
    assert (compute, stored) == (name.removeprefix("mixed_"), "float32")
    assert {str(v.array.dtype) for v in model.weights} == {stored}
    assert model.layers[-2].output.dtype == compute and model.output.dtype == "float32"
    assert model.predict(IMAGES[:5], verbose=0).dtype == np.float32
    np.testing.assert_allclose(losses, plain, rtol={"bfloat16": 0.03, "float16": 0.01}[compute])
    assert isinstance(model.optimizer, k.optimizers.LossScaleOptimizer) is (compute == "float16")
    assert losses[-1] < losses[0]


def test_mixed_training_is_native_and_interpreted_alike() -> None:
    k.config.set_dtype_policy("mixed_bfloat16")
    found = []
    for eager in (False, True):
        model = network(run_eagerly=eager)
        model.fit(IMAGES[:32], LABELS[:32], batch_size=16, epochs=1, shuffle=False, verbose=0)
        found.append([*model.get_weights(), model.predict(IMAGES[:9], verbose=0)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.05, atol=0.02)


def test_layers_take_any_float_and_give_their_own() -> None:
    inputs = k.Input((4,))
    x = n.Dense(5, dtype="float64")(inputs)
    y = n.Dense(3, dtype="bfloat16")(x)
    z = n.Dense(2)(y)
    model = k.Model(inputs, [x, y, z])
    assert [t.dtype for t in (x, y, z)] == ["float64", "bfloat16", "float32"]
    found = model.predict(np.ones((3, 4), "float32"), verbose=0)
    assert [a.dtype for a in found] == [np.float64, ml_dtypes.bfloat16, np.float32]
    dense = model.layers[2]
    assert str(dense.kernel.array.dtype) == "bfloat16"
    wanted = found[0].astype(ml_dtypes.bfloat16).astype("f4") @ dense.kernel.array.astype("f4")
    np.testing.assert_allclose(found[1].astype("f4"), wanted, rtol=2 * ULP[DType.BF16], atol=ULP[DType.BF16])


def test_half_types_meet_as_in_jax() -> None:
    half, other, single = (k.ops.ones(3, dtype=name) for name in ("bfloat16", "float16", "float32"))
    assert k.ops.multiply(half, 2.0).dtype == k.ops.add(half, 1).dtype == "bfloat16"
    assert k.ops.add(half, other).dtype == "float32" and k.ops.add(half, single).dtype == "float32"
    assert k.ops.add(half, k.ops.ones(3, dtype="int32")).dtype == "bfloat16"
    assert k.ops.mean(half).dtype == k.ops.exp(half).dtype == "bfloat16"


def test_policies_by_name() -> None:
    k.mixed_precision.set_global_policy("mixed_bfloat16")
    layer = n.Dense(2)
    assert layer.dtype_policy.name == "mixed_bfloat16" == k.mixed_precision.global_policy().name
    assert layer.get_config()["dtype"]["config"] == {"name": "mixed_bfloat16"}
    assert n.Dense.from_config(layer.get_config()).compute_dtype == "bfloat16"
    assert n.Dense(2, dtype=k.dtype_policies.DTypePolicy("float16")).variable_dtype == "float16"
    with pytest.raises(ValueError, match="Cannot convert 'mixed_float8' to a mixed precision DTypePolicy"):
        k.config.set_dtype_policy("mixed_float8")


def test_weights_of_half_precision_models_stay_float32_in_the_step() -> None:
    """The update is made in float32: a rate too small for bfloat16 still adds up."""
    k.config.set_dtype_policy("mixed_bfloat16")
    model = k.Sequential([k.Input((1,)), n.Dense(1, kernel_initializer="ones", use_bias=False)])
    model.compile(k.optimizers.SGD(2.0**-12), lambda y, p: p)
    model.fit(np.ones((8, 1)), np.ones((8, 1)), batch_size=1, epochs=1, verbose=0)
    assert float(model.layers[0].kernel.array[0, 0]) == 1 - 8 * 2.0**-12
