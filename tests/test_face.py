"""Models as Keras users use them: building, fit, evaluate, predict, callbacks, data in all its forms, executables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n

_rng = np.random.default_rng(7)
X = _rng.normal(size=(23, 4)).astype("float32")
Y = _rng.integers(0, 3, 23)


def net(optimizer: Any = "adam", metrics: Any = ("accuracy",), **options: Any) -> Any:
    k.utils.set_random_seed(1)
    layers = [k.Input((4,)), n.Dense(6, activation="relu"), n.Dropout(0.2), n.Dense(3, activation="softmax")]
    model = k.Sequential(layers)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics), **options)
    return model


def conv_net(**options: Any) -> Any:
    k.utils.set_random_seed(1)
    inputs = k.Input((9, 8, 2))
    x = n.Conv2D(5, 3, padding="same", use_bias=False)(inputs)
    x = n.ReLU()(n.BatchNormalization()(x))
    x = n.Add()([n.Conv2D(5, 3, padding="same")(x), x])
    x = n.Flatten()(n.MaxPooling2D()(x))
    model = k.Model(inputs, n.Dense(3)(x))
    loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(k.optimizers.SGD(0.02, momentum=0.9), loss, metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize("make", [net, conv_net])
def test_native_training_equals_the_interpreter_in_float64(make: Any) -> None:
    k.config.set_floatx("float64")
    x = X if make is net else np.random.default_rng(0).normal(size=(23, 9, 8, 2))
    native, interpreted = make(), make(run_eagerly=True)
    for model in (native, interpreted):
        np.random.seed(3)
        model.fit(x, Y, batch_size=8, epochs=3, verbose=0)
    for a, b in zip(native.get_weights(), interpreted.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    losses = [model.history.history["loss"] for model in (native, interpreted)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)


def test_one_epoch_is_the_sum_of_its_batches() -> None:
    fitted, stepped = net(), net()
    fitted.fit(X, Y, batch_size=10, shuffle=False, verbose=0)
    total = 0.0
    for start in (0, 10, 20):
        x, y = X[start : start + 10], Y[start : start + 10]
        total += stepped.train_on_batch(x, y, return_dict=True)["loss"] * len(x)
    for a, b in zip(fitted.get_weights(), stepped.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    assert total / len(X) == pytest.approx(fitted.history.history["loss"][0], rel=1e-6)


def test_the_first_fit_draws_one_more_permutation() -> None:
    model = net(metrics=())
    np.random.seed(5)
    model.fit(X, Y, epochs=3, verbose=0)
    after = np.random.get_state()[1][:5].tolist()  # type: ignore[index]
    np.random.seed(5)
    for _ in range(4):
        np.random.permutation(23)
    assert np.random.get_state()[1][:5].tolist() == after  # type: ignore[index]


def test_evaluate_counts_the_short_last_batch_by_its_size() -> None:
    model = net()
    whole = model.evaluate(X, Y, batch_size=23, verbose=0)
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=10, verbose=0), whole, rtol=1e-5)
    p = model.predict(X, batch_size=7, verbose=0)
    assert whole[0] == pytest.approx(float(-np.log(p[np.arange(23), Y]).mean()), rel=1e-5)
    assert whole[1] == pytest.approx(float((p.argmax(1) == Y).mean()))


def test_logs_seen_by_callbacks_are_running_means() -> None:
    seen: list[dict[str, float]] = []

    class Watch(k.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(dict(logs))

    history = net().fit(X, Y, batch_size=8, verbose=0, callbacks=[Watch()]).history
    assert len(seen) == 3
    assert list(seen[0]) == ["accuracy", "loss"]
    assert seen[-1]["loss"] == pytest.approx(history["loss"][0])
    assert seen[0]["loss"] != seen[-1]["loss"]


def test_stop_training_and_learning_rate_from_callbacks_without_recompiling() -> None:
    class Halve(k.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2
            self.model.stop_training = epoch == 2

    model = net(k.optimizers.SGD(0.8))
    history = model.fit(X, Y, epochs=10, verbose=0, callbacks=[Halve()])
    assert history.epoch == [0, 1, 2]
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    assert len(model._executables) == 1


def test_validation_data_weights_and_frequency() -> None:
    history = net().fit(X, Y, epochs=4, verbose=0, validation_data=(X[:5], Y[:5]), validation_freq=2).history
    assert [len(history[key]) for key in ("loss", "val_loss", "val_accuracy")] == [4, 2, 2]
    split = net().fit(X, Y, verbose=0, validation_split=0.3).history
    assert list(split) == ["accuracy", "loss", "val_accuracy", "val_loss"]


def batches() -> Iterator[Any]:
    while True:
        yield X[:8], Y[:8]
        yield X[8:16], Y[8:16]


class Pages(k.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


def test_generators_and_data_sets_feed_like_arrays() -> None:
    arrays, generated = net(), net()
    arrays.fit(X[:16], Y[:16], batch_size=8, shuffle=False, epochs=2, verbose=0)
    generated.fit(batches(), steps_per_epoch=2, epochs=2, verbose=0)
    np.testing.assert_allclose(arrays.get_weights()[0], generated.get_weights()[0], rtol=1e-6, atol=1e-7)
    model = net()
    model.fit(Pages(), epochs=2, verbose=0, shuffle=False)
    np.testing.assert_allclose(
        model.evaluate(Pages(), verbose=0), model.evaluate(X, Y, batch_size=8, verbose=0), rtol=1e-6
    )


def test_inputs_and_outputs_by_name() -> None:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    model = k.Model({"a": a, "b": b}, {"sum": n.Dense(1)(n.Add()([a, b])), "cat": n.Dense(2)(n.concatenate([a, b]))})
    model.compile("sgd", {"sum": "mse", "cat": "mae"}, metrics={"sum": ["mae"]})
    x, y = {"a": X, "b": X}, {"sum": X[:, :1], "cat": X[:, :2]}
    history = model.fit(x, y, verbose=0).history
    assert list(history) == ["cat_loss", "loss", "sum_loss", "sum_mae"]
    assert {key: value.shape for key, value in model.predict(x, verbose=0).items()} == {"sum": (23, 1), "cat": (23, 2)}


class Sampling(n.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.seed_generator = k.random.SeedGenerator(1)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        self.add_loss(k.ops.mean(k.ops.square(mean)) * 10.0)
        return mean + k.ops.exp(0.5 * log_variance) * k.random.normal(k.ops.shape(mean), seed=self.seed_generator)


def test_subclassed_model_with_noise_and_added_loss() -> None:
    class Autoencoder(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.spread, self.decoder = n.Dense(2), n.Dense(2), n.Dense(4)
            self.sampling = Sampling()

        def call(self, x: Any) -> Any:
            return self.decoder(self.sampling([self.mean(x), self.spread(x)]))

    k.utils.set_random_seed(1)
    model = Autoencoder()
    model.compile(k.optimizers.SGD(0.01), lambda t, p: k.ops.mean(k.ops.square(t - p), axis=-1))
    losses = model.fit(X, X, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    assert len(model.weights) == 6
    # the counter went up once a step and once for the symbolic build's interpretation never
    assert model.sampling.seed_generator.state.numpy()[1] == 30


def test_bytes_are_fed_as_they_are_and_float64_is_cast() -> None:
    model = k.Sequential([k.Input((4,)), n.Rescaling(1 / 255), n.Dense(2)])
    model.compile("sgd", "mse")
    pixels = _rng.integers(0, 255, (12, 4)).astype("uint8")
    np.testing.assert_allclose(
        model.predict(pixels, verbose=0), model.predict(pixels.astype("float64"), verbose=0), rtol=1e-5, atol=1e-6
    )
    odd = np.asfortranarray(pixels.astype(">f4"))
    np.testing.assert_allclose(model.predict(odd, verbose=0), model.predict(pixels, verbose=0), rtol=1e-5, atol=1e-6)


def test_no_rows_give_no_outputs() -> None:
    assert net().predict(X[:0], verbose=0).shape == (0, 3)


def test_executables_share_the_weights_of_the_model() -> None:
    model = net(k.optimizers.SGD(0.1))
    step = model.executable("train", 8, like=(X[:8], Y[:8]))
    infer = k.compile(model, batch_size=8)
    before = infer(X[:8])
    logs = step(X[:8], Y[:8])
    assert set(logs) == {"accuracy", "loss"}
    assert not np.array_equal(infer(X[:8]), before)
    np.testing.assert_allclose(infer(X[:8]), model.predict(X[:8], verbose=0), rtol=1e-6)
    assert infer(X[:3]).shape == (3, 3)
    with pytest.raises(ValueError, match="at most 8 rows"):
        infer(X[:9])


def test_few_executables_serve_many_sizes() -> None:
    model = net()
    for rows in range(1, 18):
        model.predict(X[:rows], verbose=0)
    assert len(model._executables) == 6


def test_sequential_grows_shrinks_and_builds_late() -> None:
    model = k.Sequential()
    model.add(n.Dense(3))
    assert not model.built
    model.build((None, 4))
    model.add(n.Dense(2))
    assert model.output_shape == (None, 2)
    assert model.pop().units == 2
    assert model.output_shape == (None, 3)
    assert [layer.units for layer in model.layers] == [3]


def test_models_from_their_configurations() -> None:
    for model in (conv_net(), net()):
        copy = type(model).from_config(model.get_config())
        copy.set_weights(model.get_weights())
        x = _rng.normal(size=(3, *model.input_shape[1:])).astype("float32")
        np.testing.assert_array_equal(copy.predict(x, verbose=0), model.predict(x, verbose=0))


def test_predicted_dicts_are_in_the_order_of_their_keys() -> None:
    """As Keras gives them on JAX."""
    x = k.Input((3,))
    model = k.Model(x, {"z": n.Dense(2)(x), "a": n.Dense(4)(x)})
    ones = np.ones((5, 3), "float32")
    for outputs in (model.predict(ones, batch_size=2, verbose=0), model.predict_on_batch(ones)):
        assert [(name, array.shape) for name, array in outputs.items()] == [("a", (5, 4)), ("z", (5, 2))]


def test_export_says_what_is_not_written() -> None:
    model = k.Sequential([k.Input((3,)), n.Dense(2)])
    with pytest.raises(NotImplementedError, match="format='onnx' is not written: not yet"):
        model.export("model.onnx", format="onnx")
    with pytest.raises(NotImplementedError, match="it is a graph of TensorFlow"):
        model.export("model")
    with pytest.raises(ValueError, match=r"Unrecognized format=pickle. Supported formats are: \['tf_saved_model'"):
        model.export("model", format="pickle")


def test_summary_knows_the_shapes_layers_were_built_for() -> None:
    """As in Keras: `build` of one's own leaves no call behind."""

    class Stack(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = n.LSTM(5, return_sequences=True), n.Dense(7)

        def build(self, input_shape: Any) -> None:
            self.first.build(input_shape)
            self.second.build((*input_shape[:-1], 5))

        def call(self, inputs: Any) -> Any:
            return self.second(self.first(inputs))

    model, lines = Stack(), list[str]()
    model.build((None, 4, 3))
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "(None, 4, 5)" in text
    assert "(None, 4, 7)" in text


def test_summary_is_keras_table() -> None:
    k.backend.clear_session()
    model = k.Sequential([k.Input((4,)), n.Dense(3, name="first"), n.Dropout(0.5)])
    text: list[str] = []
    model.summary(print_fn=text.append, line_length=60)
    lines = text[0].splitlines()
    assert lines[0] == 'Model: "sequential"'
    assert [line.split("│")[1].strip() for line in lines if line.startswith("│")] == [
        "first (Dense)",
        "dropout (Dropout)",
    ]
    assert lines[-3:] == [
        " Total params: 15 (60.00 B)",
        " Trainable params: 15 (60.00 B)",
        " Non-trainable params: 0 (0.00 B)",
    ]


def test_labels_weights_and_metrics_of_a_second_compile() -> None:
    model = net()
    model.fit(X, Y, verbose=0)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    logs = model.evaluate(X, Y, sample_weight=np.linspace(0, 1, 23), verbose=0, return_dict=True)
    assert list(logs) == ["accuracy", "loss", "weighted_accuracy"]
    assert logs["loss"] > 0


def test_importing_is_light_and_dir_works() -> None:
    code = (
        "import sys, graphc; heavy = {'llvmlite', 'networkx', 'rich', 'h5py'} & set(sys.modules);"
        "assert not heavy, heavy; assert 'layers' in dir(graphc) and 'Sequential' in dir(graphc);"
        "graphc.layers.Dense; graphc.compile; heavy = {'llvmlite', 'rich', 'h5py'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
