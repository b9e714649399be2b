"""`graphc.check`, `graphc.gradcheck`, and models that tell about themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as keras
from graphc import layers, ops
from graphc.insight.numerics import NumericsError
from graphc.insight.slopes import GradientError, widened
from graphc.ir.builder import Builder
from graphc.ir.interpret import interpret
from graphc.ir.types import DType, TensorType
from graphc.primitives import functions as fn


def model(**arguments: Any) -> Any:
    made = keras.Sequential([
        keras.Input((5,)),
        layers.Dense(4, activation="tanh", name="first"),
        layers.Dense(3, activation="softmax", name="second"),
    ])  # fmt: skip
    made.compile(optimizer="adam", loss="sparse_categorical_crossentropy", **arguments)
    return made


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: layers.Dense(3, activation="gelu"), (5, 4)),
        (lambda: layers.Conv2D(3, 2, activation="tanh"), (2, 5, 6, 2)),
        (lambda: layers.BatchNormalization(), (6, 3)),
        (lambda: layers.LayerNormalization(), (4, 5)),
    ],
    ids=["dense", "conv", "batch_norm", "layer_norm"],
)
def test_gradients_of_layers_are_their_slopes(make: Any, shape: tuple[int, ...]) -> None:
    slopes = keras.gradcheck(make(), shape)
    assert all(slope.error < 1e-6 for slope in slopes) and len(slopes) >= 6
    assert {slope.name.split(".")[-1] for slope in slopes} >= {"input0"}


def test_gradients_of_functions_and_of_random_layers() -> None:
    slopes = keras.gradcheck(lambda x, y: ops.sum(ops.exp(x) * y, axis=1), (3, 4), (3, 4), directions=3)
    assert [slope.name for slope in slopes] == ["input0"] * 3 + ["input1"] * 3
    drop = layers.Dropout(0.5)
    assert keras.gradcheck(lambda x: drop(x, training=True) * x, (3, 4))


class Root(layers.SimpleRNNCell):
    """A cell whose root has a slope without end at zero."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h = ops.sqrt(ops.abs(ops.matmul(inputs, self.kernel)))
        return h, [h]


def recurrent(**arguments: Any) -> Any:
    made = keras.Sequential([keras.Input((6, 5)), layers.RNN(Root(3), name="roots"), layers.Dense(2)])
    made.compile(optimizer="sgd", loss="mse", **arguments)
    return made


def test_the_op_and_the_step_inside_a_loop_are_named() -> None:
    made = recurrent(check_numerics=True)
    x, y = np.random.default_rng(5).random((4, 6, 5), np.float32), np.zeros((4, 2), np.float32)
    assert np.isfinite(made.train_on_batch(x, y))
    x[2, 5] = 0.0
    with pytest.raises(NumericsError, match=r"^layer .*roots/root, \w+, backward, step 5 of 6: ") as caught:
        made.train_on_batch(x, y)
    assert (caught.value.direction, caught.value.index) == ("backward", (2, 0))
    with pytest.raises(NumericsError, match=r"step 5 of 6: .* 3 such elements of 9;"):
        made.train_on_batch(x[:3], y[:3])


def test_kernels_inside_of_loops_are_checked_too() -> None:
    kernels = keras.check(recurrent(), batch_size=3).kernels
    assert "scan" in kernels and any("sqrt" in name for name in kernels)


def test_a_wrong_gradient_is_named() -> None:
    with pytest.raises(GradientError, match=r"the gradient of input1: .*, error 5\.0e-01") as caught:
        keras.gradcheck(lambda x, y: x + ops.stop_gradient(y) * y, (3, 4), (3, 4))
    assert caught.value.name == "input1"
    with pytest.raises(ValueError, match="no output is of a float dtype"):
        keras.gradcheck(lambda x: ops.cast(x > 0, "int32"), (3, 4))


def test_graphs_in_double_precision_keep_their_bits() -> None:
    b = Builder("bits")
    x = b.input("x", TensorType((3,)))
    graph = b.build((fn.add(b, fn.bitcast(b, fn.bitcast(b, x, DType.U32), DType.F32), fn.exp(b, x)),))
    numbers = np.array([0.5, 1.0, -2.0])
    (wide,) = interpret(again := widened(graph), dict(zip(again.inputs, [numbers], strict=True)))
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, numbers + np.exp(numbers), rtol=1e-12)


def test_check_of_a_model() -> None:
    report = keras.check(model(), batch_size=3)
    assert report.rows == (3, 2) and report.kernels
    with pytest.raises(TypeError, match="wanted a Model or a Graph, got int"):
        keras.check(3)


def test_a_model_names_the_layer_where_infinity_appears(rng: np.random.Generator) -> None:
    made = model(check_numerics=True)
    x, y = rng.normal(size=(6, 5)).astype("float32"), rng.integers(0, 3, 6)
    made.fit(x, y, batch_size=6, verbose=0)
    made.get_layer("second").kernel.assign(np.full((4, 3), 3e38, "float32"))
    before = [weight.copy() for weight in made.get_weights()]
    with pytest.raises(NumericsError, match="second.*forward.* has -?inf at") as caught:
        made.fit(np.full((6, 5), 2.0, "float32"), y, batch_size=6, verbose=0)
    assert caught.value.layer.endswith("second") and caught.value.direction == "forward"
    assert all(np.array_equal(a, b) for a, b in zip(before, made.get_weights(), strict=True))


def test_memory_is_told_and_limited() -> None:
    use = model().memory_plan(batch_size=8)
    assert use.parts["weights"] == 4 * (5 * 4 + 4 + 4 * 3 + 3) and use.parts["inputs"] == 8 * 5 * 4 + 8 * 4
    assert model().memory_plan("infer", 8).total < use.total
    limited = model(memory_limit=500)
    with pytest.raises(MemoryError, match="needs .* the limit is 500"):
        limited.fit(np.zeros((4, 5), "float32"), np.zeros(4, "int32"), batch_size=4, verbose=0)
    model(memory_limit=use.total).fit(np.zeros((8, 5), "float32"), np.zeros(8, "int32"), batch_size=8, verbose=0)


def test_the_summary_tells_measured_times() -> None:
    lines: list[str] = []
    made = model()
    made.summary(print_fn=lines.append, profile=True)
    text = "\n".join(lines)
    assert "Total params" in text and "first" in text.split("forward µs")[1]
    found = made.profile(batch_size=4, runs=2)
    assert found.roof is not None and len(found) == 2


@pytest.mark.parametrize("suffix", ["svg", "dot"])
def test_plot_model_draws_the_compiled_step(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("grandalf")
    exe = model().executable("train", 4)
    keras.utils.plot_model(exe, tmp_path / f"step.{suffix}")
    text = (tmp_path / f"step.{suffix}").read_text()
    assert all(kernel in text for kernel in (f"@{name}" for name in exe.kernels if ".0." not in name))
