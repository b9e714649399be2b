"""Steps of the user's own: traced once, compiled into one native step, equal to what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n
from graphc import ops

_rng = np.random.default_rng(11)
X = _rng.normal(size=(22, 4)).astype("float32")
Y = _rng.normal(size=(22, 3)).astype("float32")


def stack() -> list[Any]:
    return [n.Dense(6, activation="tanh"), n.Dropout(0.3), n.Dense(3)]


class Plain(k.Model):
    """Layers in a row, trained by the inherited step."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = stack()

    def call(self, x: Any, training: bool | None = None) -> Any:
        for layer in self.stack:
            x = layer(x, training=training)
        return x


class ByHand(Plain):
    """The inherited step spelt out."""

    def train_step(self, data: Any) -> Any:
        x, y, weights = (*data, None)[:3]
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=weights)
        self.optimizer.apply_gradients(
            zip(k.gradients(loss, self.trainable_variables), self.trainable_variables, strict=True)
        )
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=ops.shape(x)[0])
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data: Any) -> Any:
        return super().test_step(data)


def trained(kind: type[Plain], **options: Any) -> Any:
    k.utils.set_random_seed(5)
    model: Any = kind()
    model.compile(k.optimizers.Adam(0.01), "mse", metrics=["mae"], **options)
    model.fit(X, Y, batch_size=8, epochs=3, validation_split=0.2, verbose=0)
    return model


@pytest.mark.parametrize("eager", [False, True])
def test_the_step_spelt_out_is_the_inherited_one(eager: bool) -> None:
    one, two = trained(Plain, run_eagerly=eager), trained(ByHand, run_eagerly=eager)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert list(one.history.history) == list(two.history.history) == ["loss", "mae", "val_loss", "val_mae"]
    for key, values in one.history.history.items():
        np.testing.assert_allclose(two.history.history[key], values, rtol=1e-6)
    assert one.evaluate(X, Y, verbose=0) == pytest.approx(two.evaluate(X, Y, verbose=0))


class Square(k.Model):
    """One weight, with a step given to the constructor."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.w = self.add_weight(shape=(), initializer="ones", name="w")
        self.step = step

    def train_step(self, data: Any) -> Any:
        return self.step(self, data)


def one_step(step: Any, x: Any = (2.0, 4.0), **compiled: Any) -> tuple[dict[str, float], float]:
    """The logs of one step on x and the weight after it."""
    model = Square(step)
    model.compile(optimizer=compiled.pop("optimizer", k.optimizers.SGD(0.5)), **compiled)
    logs = model.train_on_batch(np.array(x, "float32"), return_dict=True)
    return logs, float(model.w.numpy())


def test_values_after_an_update_read_the_new_weight() -> None:
    def step(self: Any, x: Any) -> Any:
        before = ops.sum(x) * self.w  # gradient 6
        self.optimizer.apply(k.gradients(before, [self.w]), [self.w])  # 1 - 0.5 * 6 = -2
        after = ops.square(self.w)  # 4, gradient -4
        (again,) = k.gradients(after, [self.w])
        (of_old,) = k.gradients(before * 2.0, [self.w])  # what was computed before keeps its gradient
        self.optimizer.apply([again], [self.w])  # -2 + 2 = 0
        return {"before": before, "after": after, "again": again, "of_old": of_old, "last": self.w}

    logs, weight = one_step(step)
    assert logs == {"after": 4.0, "again": -4.0, "before": 6.0, "last": 0.0, "of_old": 12.0}
    assert list(logs) == sorted(logs)
    assert weight == 0.0


def test_gradients_of_gradients_and_of_tensors_in_the_middle() -> None:
    def step(self: Any, x: Any) -> Any:
        y = x * 3.0
        score = self.w * ops.square(y) * y  # d/dy = 3 w y^2
        slope = k.gradients(score, y)
        penalty = ops.mean(ops.square(slope))  # 9 w^2 y^4, d/dw = 18 w y^4
        self.optimizer.apply(k.gradients(penalty, [self.w]), [self.w])
        return {"slope": ops.sum(slope), "penalty": penalty}

    logs, weight = one_step(step)
    assert logs["slope"] == 3 * (6**2 + 12**2)
    assert logs["penalty"] == np.mean([9 * 6**4, 9 * 12**4])
    assert weight == pytest.approx(1 - 0.5 * np.mean([18 * 6**4, 18 * 12**4]))


def test_two_optimizers_two_losses_and_a_tape() -> None:
    """An adversarial pair; native equals the interpreter, and the joined batch equals two separate ones."""

    class Pair(k.Model):
        def __init__(self, joined: bool) -> None:
            super().__init__()
            self.joined = joined
            self.judge = k.Sequential([k.Input((4,)), n.Dense(5), n.LeakyReLU(), n.Dense(1)])
            self.maker = k.Sequential([k.Input((3,)), n.Dense(7, activation="tanh"), n.Dense(4)])
            self.judge_loss, self.maker_loss = k.metrics.Mean("judge"), k.metrics.Mean("maker")
            self.seeds = k.random.SeedGenerator(3)

        def compile(self, judge: Any, maker: Any, loss: Any) -> None:  # type: ignore[override]
            super().compile()
            self.judge_optimizer, self.maker_optimizer, self.loss_fn = judge, maker, loss

        @property
        def metrics(self) -> list[Any]:
            return [self.judge_loss, self.maker_loss]

        def judged(self, real: Any, made: Any, rows: Any) -> Any:
            ones, zeros = ops.ones((rows, 1)), ops.zeros((rows, 1))
            if self.joined:
                scores = self.judge(ops.concatenate([made, real], axis=0))
                assert ops.split(scores, 2)[0].shape == scores[:rows].shape == ones.shape
                return self.loss_fn(ops.concatenate([ones, zeros], axis=0), scores)
            return (self.loss_fn(ones, self.judge(made)) + self.loss_fn(zeros, self.judge(real))) / 2.0

        def train_step(self, real: Any) -> Any:
            rows = ops.shape(real)[0]
            made = self.maker(k.random.normal((rows, 3), seed=self.seeds))
            with k.GradientTape() as tape:
                loss = self.judged(real, made, rows)
            weights = self.judge.trainable_weights
            self.judge_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            self.judge_loss.update_state(loss)
            with k.GradientTape() as tape:
                made = self.maker(k.random.normal((rows, 3), seed=self.seeds))
                loss = self.loss_fn(ops.zeros((rows, 1)), self.judge(made))
            weights = self.maker.trainable_weights
            self.maker_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            self.maker_loss.update_state(loss)
            return self.get_metrics_result()

    def run(joined: bool, eager: bool) -> tuple[Any, Any]:
        k.utils.set_random_seed(1)
        model: Any = Pair(joined)
        loss = k.losses.BinaryCrossentropy(from_logits=True)
        model.compile(k.optimizers.Adam(0.02), k.optimizers.SGD(0.1, momentum=0.5), loss)
        model.run_eagerly = eager
        history = model.fit(X, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        return history, model.get_weights()

    history, weights = run(joined=True, eager=False)
    assert list(history) == ["judge", "maker"]
    for other in (run(joined=True, eager=True), run(joined=False, eager=False)):
        np.testing.assert_allclose(other[0]["judge"], history["judge"], rtol=1e-4)
        for a, b in zip(other[1], weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


def test_parts_of_a_joined_batch_are_what_was_joined() -> None:
    class Joiner(k.Model):
        def call(self, x: Any) -> Any:
            rows = ops.shape(x)[0]
            joined = ops.concatenate([x, x * 2.0, x * 3.0], axis=0)
            first, second, third = ops.split(joined, 3)
            rest = joined[rows:]
            return ops.concatenate([first, second * 10.0, third * 100.0, rest[:rows] * 1000.0], axis=-1)

    got = Joiner().predict(X, batch_size=5, verbose=0)
    np.testing.assert_allclose(got, np.concatenate([X, X * 20, X * 300, X * 2000], axis=1), rtol=1e-6)


class Reported(Plain):
    """Loss, metrics and outputs of its own, by the smaller hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = k.metrics.Mean("peak")

    def compute_loss(  # type: ignore[override]
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        return ops.mean(ops.abs(y - y_pred)) + 0.25

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        self.peak.update_state(ops.max(y_pred, axis=-1))
        return {**logs, "peak": self.peak.result(), "twice": self.peak.result() * 2.0}

    def predict_step(self, data: Any) -> Any:
        return {"raw": self(data, training=False), "sign": ops.sign(self(data, training=False))}


def test_own_loss_metrics_and_outputs() -> None:
    model = trained(Reported)
    logs = model.evaluate(X, Y, batch_size=9, verbose=0, return_dict=True)
    outputs = model.predict(X, batch_size=9, verbose=0)
    raw = model(X, training=False)
    assert list(logs) == ["loss", "mae", "peak", "twice"]
    assert logs["loss"] == pytest.approx(np.mean(np.abs(Y - raw)) + 0.25, rel=1e-5)
    assert logs["mae"] == pytest.approx(np.mean(np.abs(Y - raw)), rel=1e-5)
    assert logs["peak"] == pytest.approx(raw.max(-1).mean(), rel=1e-5)
    assert logs["twice"] == pytest.approx(2 * logs["peak"])
    np.testing.assert_allclose(outputs["raw"], raw, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(outputs["sign"], np.sign(outputs["raw"]))


def test_gradients_outside_of_a_step_are_arrays() -> None:
    w = k.Variable(np.array([1.0, 2.0, 3.0], "float32"))
    unused = k.Variable(np.array([4.0, 5.0], "float32"))
    slopes = k.gradients(lambda: ops.sum(w * w * w), {"used": w, "unused": unused})
    np.testing.assert_array_equal(slopes["used"], [3.0, 12.0, 27.0])
    np.testing.assert_array_equal(slopes["unused"], [0.0, 0.0])


def test_mistakes_are_named() -> None:
    with pytest.raises(RuntimeError, match="the loss is a number already"):
        k.gradients(np.float32(1.0), [])
    with pytest.raises(TypeError, match=r"Square.train_step\(\) must return a dict of scalars by name"):
        one_step(lambda self, x: ops.sum(x))
    with pytest.raises(TypeError, match="it cannot become a Python number"):
        one_step(lambda self, x: {"loss": float(ops.sum(x))})
    with pytest.raises(TypeError, match="keeps no gradients; use `graphc.gradients"):
        one_step(lambda self, x: ops.sum(x).backward())
    with pytest.raises(TypeError, match="sources are variables and tensors of this step; received: 3"):
        one_step(lambda self, x: {"slope": k.gradients(ops.sum(x), 3)})

    class Stateless(Plain):
        def train_step(self, state: Any, data: Any) -> Any:  # type: ignore[override]
            return {}, state

    model: Any = Stateless()
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"Stateless.train_step\(state, data\) is the stateless step of Keras's JAX"):
        model.fit(X, Y, verbose=0)
