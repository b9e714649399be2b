"""Models that are saved by graphc and loaded by Keras, and the other way round. A model is one decorated function.

`python tests/saving_models.py FOLDER NAME...` is Keras's side: it loads `FOLDER/ours/NAME.keras` and `.h5`, saves its own models
to `FOLDER/theirs` and writes what all of them give to `FOLDER/keras.npz`. `test_saving_keras.py` is graphc's side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# (the module, `keras` or `graphc`) -> (model, x, y): compiled, not trained
Make = Callable[[Any], tuple[Any, Any, Any]]
MODELS: dict[str, Make] = {}
# Keras 3.15 cannot read these from its older format, whoever wrote them.
NOT_IN_H5 = {"ops", "slices", "masked", "masked_recurrent", "subclassed", "shared_objects", "transformer"}
STEPS = 2
# bfloat16 has eight bits, and sums are rounded to them at other places
TOLERANCES = {"mixed": 0.03}


def model(make: Make) -> Make:
    MODELS[make.__name__] = make
    return make


def data(*shape: int, rows: int = 12, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, *shape)).astype("float32")


def classes(count: int, rows: int = 12) -> Any:
    return np.random.default_rng(7).integers(0, count, rows).astype("int32")


def regression(k: Any, layers: list[Any], *shape: int, optimizer: Any = "adam", **options: Any) -> Any:
    """A Sequential model with one output more."""
    made = k.Sequential([k.Input(shape), *layers, k.layers.Dense(1)])
    made.compile(optimizer, options.pop("loss", "mean_squared_error"), **options)
    return made, data(*shape), data(1, seed=3)


@model
def dense(k: Any) -> Any:
    dense = k.layers.Dense
    made = k.Sequential([k.Input((5,)), dense(4, activation="relu"), dense(3, activation="softmax", name="head")])
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made, data(5), classes(3)


@model
def convolutions(k: Any) -> Any:
    conv = k.layers.Conv2D(3, 3, padding="same", activation="relu", strides=2)
    layers = [conv, k.layers.MaxPooling2D(2), k.layers.Flatten()]
    return regression(k, layers, 8, 9, 2, optimizer=k.optimizers.SGD(0.05, momentum=0.9, nesterov=True))


@model
def separable(k: Any) -> Any:
    layers = [
        k.layers.DepthwiseConv2D(3, depth_multiplier=2),
        k.layers.SeparableConv2D(4, (2, 3), use_bias=False),
        k.layers.AveragePooling2D((1, 2)),
        k.layers.GlobalMaxPooling2D(),
    ]
    return regression(k, layers, 7, 8, 2, optimizer="rmsprop")


@model
def sequences(k: Any) -> Any:
    layers = [k.layers.Conv1D(4, 3, padding="causal", dilation_rate=2), k.layers.GlobalAveragePooling1D()]
    return regression(k, layers, 9, 3, optimizer=k.optimizers.AdamW(0.01, weight_decay=0.1))


@model
def normalizations(k: Any) -> Any:
    layers = [
        k.layers.Dense(6),
        k.layers.BatchNormalization(momentum=0.8),
        k.layers.LayerNormalization(),
        k.layers.BatchNormalization(scale=False, trainable=False),
    ]
    # Adam and its kin would blow the rounding errors in the gradients of weights before a normalization up to full steps
    return regression(k, layers, 4, optimizer=k.optimizers.SGD(0.05, momentum=0.5))


@model
def regularized(k: Any) -> Any:
    layer = k.layers.Dense(
        6, kernel_regularizer=k.regularizers.L1L2(0.01, 0.02), bias_regularizer="l2", kernel_constraint="max_norm",
        bias_constraint=k.constraints.NonNeg(), kernel_initializer=k.initializers.HeNormal(seed=4),
        bias_initializer=k.initializers.Constant(0.1), activity_regularizer="l1",
    )  # fmt: skip
    return regression(k, [layer], 4, optimizer="adagrad")


@model
def activations(k: Any) -> Any:
    layers = [
        k.layers.Dense(4), k.layers.LeakyReLU(0.1), k.layers.Dense(4), k.layers.PReLU(), k.layers.Activation("swish"),
        k.layers.ELU(), k.layers.ReLU(6.0), k.layers.Dense(4, activation="gelu"), k.layers.Softmax(),
    ]  # fmt: skip
    return regression(k, layers, 3, optimizer="adamax")


@model
def shapes(k: Any) -> Any:
    layers = [
        k.layers.Reshape((3, 4)), k.layers.Permute((2, 1)), k.layers.Reshape((2, 2, 3)), k.layers.ZeroPadding2D(1),
        k.layers.Cropping2D(((1, 0), (0, 1))), k.layers.UpSampling2D(2), k.layers.Flatten(), k.layers.Rescaling(0.5),
    ]  # fmt: skip
    return regression(k, layers, 12, optimizer="adadelta")


@model
def dropout_rate_zero(k: Any) -> Any:
    layers = [k.layers.Dense(4), k.layers.Dropout(0.0), k.layers.GaussianNoise(0.0)]
    return regression(k, layers, 3, optimizer="lion", metrics=[k.metrics.MeanAbsoluteError(name="error")])


@model
def schedule(k: Any) -> Any:
    rate = k.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    loss = k.losses.MeanSquaredError(reduction="sum")
    return regression(k, [k.layers.Dense(4)], 3, optimizer=k.optimizers.SGD(rate), loss=loss)


@model
def averages(k: Any) -> Any:
    optimizer = k.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.7, global_clipnorm=0.5, amsgrad=True)
    return regression(k, [k.layers.Dense(4, activation="tanh")], 3, optimizer=optimizer)


@model
def accumulation(k: Any) -> Any:
    optimizer = k.optimizers.RMSprop(0.02, momentum=0.5, centered=True, gradient_accumulation_steps=2)
    return regression(k, [k.layers.Dense(4, activation="tanh")], 3, optimizer=optimizer)


@model
def several_ends(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((6,), name="b")
    x = k.layers.Concatenate()([k.layers.Dense(5)(a), k.layers.Dense(3, activation="relu")(b)])
    ends = [k.layers.Dense(1, name="left")(x), k.layers.Dense(3, activation="softmax", name="right")(x)]
    made = k.Model([a, b], ends)
    losses = {"left": "mean_squared_error", "right": "sparse_categorical_crossentropy"}
    made.compile("adam", losses, loss_weights={"left": 0.3, "right": 1.0}, metrics={"right": ["accuracy"]})
    return made, [data(4), data(6, seed=1)], [data(1, seed=3), classes(3)]


@model
def named_inputs(k: Any) -> Any:
    given = {"wide": k.Input((6,), name="wide"), "deep": k.Input((4,), name="deep")}
    x = k.layers.Add()([k.layers.Dense(5)(given["wide"]), k.layers.Dense(5)(given["deep"])])
    made = k.Model(given, {"y": k.layers.Dense(1, name="y")(x)})
    made.compile("adam", {"y": "mean_absolute_error"})
    return made, {"wide": data(6), "deep": data(4, seed=1)}, {"y": data(1, seed=3)}


@model
def shared(k: Any) -> Any:
    a, b = k.Input((4,)), k.Input((4,))
    layer = k.layers.Dense(5, activation="tanh", name="twice")
    x = k.layers.Dot(-1)([layer(a), layer(b)])
    made = k.Model([a, b], k.layers.Dense(1)(x))
    made.compile("adam", "mean_squared_error")
    return made, [data(4), data(4, seed=1)], data(1, seed=3)


@model
def nested(k: Any) -> Any:
    inner = k.Sequential([k.Input((4,)), k.layers.Dense(4), k.layers.BatchNormalization()], name="inner")
    start = k.Input((4,))
    middle = k.Model(start, k.layers.Add()([inner(start), k.layers.Dense(4, name="side")(start)]), name="middle")
    end_start = k.Input((4,))
    end = k.Model(end_start, k.layers.Dense(1)(end_start), name="end")
    x = k.Input((4,))
    made = k.Model(x, end(middle(middle(x))))
    made.compile("sgd", "mean_squared_error")
    return made, data(4), data(1, seed=3)


@model
def ops(k: Any) -> Any:
    x = k.Input((4,))
    y = k.layers.Dense(6)(x) * 2.0 + 1
    y = k.ops.concatenate([k.ops.relu(y), -y, k.ops.square(x) / 3.0], axis=-1)
    y = k.ops.where(y > 0.5, y, 0.1 - y)
    y = y - k.ops.mean(y, axis=-1, keepdims=True)
    made = k.Model(x, k.layers.Dense(1)(k.ops.softmax(y)))
    made.compile("adam", "mean_squared_error")
    return made, data(4), data(1, seed=3)


@model
def slices(k: Any) -> Any:
    x = k.Input((6, 4))
    y = k.ops.transpose(x[:, 1:5:2, ::-1], axes=(0, 2, 1))
    y = k.ops.reshape(y, (-1, 8))
    y = k.ops.expand_dims(k.ops.sum(y, axis=1), axis=-1)
    made = k.Model(x, k.layers.Dense(1)(y))
    made.compile("sgd", "mean_squared_error")
    return made, data(6, 4), data(1, seed=3)


@model
def masked(k: Any) -> Any:
    x = k.Input((5,), dtype="int32")
    y = k.layers.GlobalAveragePooling1D()(k.layers.Embedding(7, 3, mask_zero=True)(x))
    made = k.Model(x, k.layers.Dense(1)(y))
    made.compile("adam", "mse")
    ids = np.random.default_rng(5).integers(0, 7, (12, 5)).astype("int32")
    ids[:, 0] = 1
    return made, ids, data(1, seed=3)


@model
def custom(k: Any) -> Any:
    @k.saving.register_keras_serializable("tests", "Scaled")
    class Scaled(k.layers.Layer):  # type: ignore[misc]
        def __init__(self, factor: float, inner: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor
            self.inner = k.layers.Dense(3) if inner is None else k.saving.deserialize_keras_object(inner)

        def build(self, input_shape: Any) -> None:
            if not self.inner.built:
                self.inner.build(input_shape)
            self.scale = self.add_weight(shape=(3,), initializer="ones", name="scale")
            self.steps = self.add_weight(shape=(), initializer="zeros", name="steps", trainable=False)
            self.built = True

        def call(self, x: Any) -> Any:
            return self.inner(x) * self.scale * self.factor

        def get_config(self) -> dict[str, Any]:
            inner = k.saving.serialize_keras_object(self.inner)
            return {**super().get_config(), "factor": self.factor, "inner": inner}

    @k.saving.register_keras_serializable("tests")  # type: ignore[untyped-decorator]
    def cubed(y_true: Any, y_pred: Any) -> Any:
        return k.ops.mean(k.ops.abs(y_true - y_pred) ** 3, axis=-1)

    return regression(k, [Scaled(0.5)], 4, loss=cubed)


@model
def subclassed(k: Any) -> Any:
    @k.saving.register_keras_serializable("tests")
    class Tower(k.Model):  # type: ignore[misc]
        def __init__(self, width: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width
            self.zoo = {"b": k.layers.Dense(width), "a": [k.layers.Dense(width, activation="relu")]}
            self.blocks = [k.layers.Dense(width), k.Sequential([k.layers.Dense(3), k.layers.BatchNormalization()])]
            self.out = k.layers.Dense(1)

        def call(self, x: Any, training: Any = None) -> Any:
            x = self.zoo["a"][0](self.zoo["b"](x))
            for block in self.blocks:
                x = block(x, training=training)
            return self.out(x)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    made = Tower(5)
    made.compile("sgd", "mse")
    made(data(4))
    return made, data(4), data(1, seed=3)


@model
def shared_objects(k: Any) -> Any:
    start = k.initializers.RandomNormal(stddev=0.2, seed=3)
    layers = [k.layers.Dense(4, kernel_initializer=start), k.layers.Dense(4, kernel_initializer=start)]
    return regression(k, layers, 3, optimizer="nadam")


@model
def recurrent(k: Any) -> Any:
    layers = [k.layers.GRU(4, return_sequences=True), k.layers.LSTM(3, return_sequences=True), k.layers.SimpleRNN(3)]
    return regression(k, layers, 5, 3)


@model
def bidirectional(k: Any) -> Any:
    layers = [k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True)), k.layers.Bidirectional(k.layers.GRU(2))]
    return regression(k, layers, 5, 3)


@model
def per_step(k: Any) -> Any:
    layers = [
        k.layers.TimeDistributed(k.layers.Dense(3)),
        k.layers.EinsumDense("abc,cd->abd", (5, 4)),
        k.layers.Flatten(),
    ]
    return regression(k, layers, 5, 3)


@model
def attention(k: Any) -> Any:
    x = k.Input((5, 4))
    y = k.layers.LayerNormalization()(x + k.layers.MultiHeadAttention(2, 3)(x, x))
    made = k.Model(x, k.layers.Dense(1)(k.layers.GlobalAveragePooling1D()(y)))
    made.compile("adam", "mean_squared_error")
    return made, data(5, 4), data(1, seed=3)


@model
def masked_recurrent(k: Any) -> Any:
    x = k.Input((6,), dtype="int32")
    y = k.layers.LSTM(4)(k.layers.Embedding(9, 3, mask_zero=True)(x))
    made = k.Model(x, k.layers.Dense(1)(y))
    made.compile("adam", "mean_squared_error")
    ids = np.random.default_rng(5).integers(1, 9, (12, 6)).astype("int32")
    ids[::2, 4:] = 0
    return made, ids, data(1, seed=3)


@model
def cells(k: Any) -> Any:
    @k.saving.register_keras_serializable("tests")
    class Leaky(k.layers.Layer):  # type: ignore[misc]
        """A cell of the user's."""

        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.state_size = self.output_size = self.units = units

        def build(self, input_shape: Any) -> None:
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
            self.built = True

        def call(self, x: Any, states: Any) -> Any:
            state = 0.7 * states[0] + k.ops.tanh(k.ops.matmul(x, self.kernel))
            return state, [state]

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    stacked = k.layers.RNN([k.layers.LSTMCell(4), k.layers.GRUCell(3, reset_after=False)], return_sequences=True)
    both = k.layers.Bidirectional(k.layers.RNN(Leaky(2), return_sequences=True), merge_mode="sum")
    return regression(k, [stacked, both, k.layers.RNN(Leaky(3))], 5, 3)


@model
def recurrent_pictures(k: Any) -> Any:
    layers = [
        k.layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True),
        k.layers.TimeDistributed(k.layers.SpectralNormalization(k.layers.Conv2D(3, 2))),
        k.layers.GlobalAveragePooling3D(),
    ]
    return regression(k, layers, 4, 5, 6, 2, optimizer="sgd")


@model
def transformer(k: Any) -> Any:
    @k.saving.register_keras_serializable("tests")
    class Positions(k.layers.Layer):  # type: ignore[misc]
        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight(shape=input_shape[1:], initializer="glorot_normal", name="table")
            self.built = True

        def call(self, x: Any) -> Any:
            return x + self.table

    start = k.Input((5, 4))
    y = k.layers.LayerNormalization()(start)
    y = start + k.layers.MultiHeadAttention(2, 3, name="heads")(y, y, use_causal_mask=True)
    block = k.Model(start, y + k.layers.Dense(4, "gelu")(k.layers.RMSNormalization()(y)), name="block")
    x = k.Input((5, 4))
    y = block(block(Positions()(x)))
    y = k.layers.GroupQueryAttention(3, 4, 2)(y, y) + k.layers.Attention(use_scale=True)([y, y])
    made = k.Model(x, k.layers.Dense(1)(k.layers.GlobalAveragePooling1D()(k.layers.LayerNormalization()(y))))
    made.compile(k.optimizers.SGD(0.02, momentum=0.5), "mean_squared_error")
    return made, data(5, 4), data(1, seed=3)


@model
def mixed(k: Any) -> Any:
    policy = k.DTypePolicy("mixed_bfloat16")
    layers = [k.layers.Dense(6, "tanh", dtype=policy), k.layers.Dense(4, dtype=policy), k.layers.LayerNormalization()]
    return regression(k, layers, 4, optimizer=k.optimizers.SGD(0.05, momentum=0.5))


@model
def adapted(k: Any) -> Any:
    scaled = k.layers.Normalization()
    scaled.adapt(data(3) * 2 + 1)
    layers = [scaled, k.layers.Discretization([-0.5, 0.5]), k.layers.CategoryEncoding(3, "count")]
    return regression(k, layers, 3, optimizer=k.optimizers.Ftrl(0.1))


def trained(k: Any, name: str) -> tuple[Any, Any, Any]:
    """A model after some steps."""
    k.utils.clear_session()
    k.utils.set_random_seed(11)
    made, x, y = MODELS[name](k)
    train(made, x, y)
    return made, x, y


def train(made: Any, x: Any, y: Any) -> None:
    for _ in range(STEPS):
        made.train_on_batch(x, y)


def predictions(k: Any, made: Any, x: Any) -> list[Any]:
    """The outputs, called without compiling under Keras."""
    result = made(x, training=False) if k.__name__ == "keras" else made.predict(x, verbose=0)
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(part) for part in parts]


def findings(k: Any, made: Any, x: Any, y: Any) -> dict[str, Any]:
    """What a model gives and holds, then what further training makes of its weights."""
    found = {f"output{index}": part for index, part in enumerate(predictions(k, made, x))}
    found |= {f"slot{index}": np.asarray(variable) for index, variable in enumerate(made.optimizer.variables)}
    train(made, x, y)
    return found | {f"weight{index}": np.asarray(value) for index, value in enumerate(made.get_weights())}


def keras_side(folder: Path, names: list[str]) -> None:
    import keras

    results: dict[str, Any] = {}
    (folder / "theirs").mkdir()
    for name in names:
        made, x, y = trained(keras, name)
        made.save(folder / f"theirs/{name}.keras")
        made.save_weights(folder / f"theirs/{name}.weights.h5")
        if name not in NOT_IN_H5:
            made.save(folder / f"theirs/{name}.h5")
            results[f"h5/{name}"] = predictions(keras, keras.models.load_model(folder / f"ours/{name}.h5"), x)[0]
        ours = keras.models.load_model(folder / f"ours/{name}.keras")
        results |= {f"theirs/{name}/{key}": value for key, value in findings(keras, made, x, y).items()}
        results |= {f"ours/{name}/{key}": value for key, value in findings(keras, ours, x, y).items()}
    np.savez(folder / "keras.npz", **results)


if __name__ == "__main__":
    keras_side(Path(sys.argv[1]), sys.argv[2:])
