"""Layers as objects: configuration, weights and their order, names and paths, training mode, masks, tracking.

What layers compute is compared with Keras's own results in `test_keras_reference.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n

IMAGE, ROW, STEPS = (6, 8, 4), (5,), (7, 3)
LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (lambda: n.Dense(3, activation="relu", kernel_regularizer="l2", kernel_constraint="max_norm"), ROW),
    (lambda: n.Conv1D(2, 3, padding="causal"), STEPS),
    (lambda: n.Conv2D(2, 3, strides=2, activation="tanh", groups=2), IMAGE),
    (lambda: n.DepthwiseConv2D(3, depth_multiplier=2), IMAGE),
    (lambda: n.SeparableConv2D(3, 3), IMAGE),
    (lambda: n.MaxPooling2D(2, padding="same"), IMAGE),
    (lambda: n.AveragePooling1D(2), STEPS),
    (lambda: n.GlobalMaxPooling2D(keepdims=True), IMAGE),
    (lambda: n.GlobalAveragePooling1D(), STEPS),
    (lambda: n.Flatten(), IMAGE),
    (lambda: n.Reshape((3, -1)), STEPS),
    (lambda: n.Permute((2, 1)), STEPS),
    (lambda: n.RepeatVector(2), ROW),
    (lambda: n.Dropout(0.25, noise_shape=(None, 1, 3), seed=3), STEPS),
    (lambda: n.SpatialDropout2D(0.25), IMAGE),
    (lambda: n.GaussianNoise(0.1), ROW),
    (lambda: n.Activation("elu"), ROW),
    (lambda: n.ReLU(6.0, 0.1, 0.5), ROW),
    (lambda: n.LeakyReLU(0.1), ROW),
    (lambda: n.ELU(0.5), ROW),
    (lambda: n.PReLU(shared_axes=[1]), STEPS),
    (lambda: n.Softmax(1), STEPS),
    (lambda: n.BatchNormalization(axis=1, momentum=0.5), STEPS),
    (lambda: n.LayerNormalization(epsilon=0.1), STEPS),
    (lambda: n.ZeroPadding2D((1, 2)), IMAGE),
    (lambda: n.Cropping2D(1), IMAGE),
    (lambda: n.UpSampling2D(2), IMAGE),
    (lambda: n.Rescaling(0.5, 1.0), ROW),
    (lambda: n.Identity(), ROW),
    (lambda: n.ActivityRegularization(l1=0.1), ROW),
    (lambda: n.Conv1DTranspose(2, 3, strides=2, output_padding=1), STEPS),
    (lambda: n.Conv2DTranspose(2, (3, 2), strides=(2, 3), padding="same", data_format="channels_first"), IMAGE),
    (lambda: n.DepthwiseConv1D(3, depth_multiplier=2), STEPS),
    (lambda: n.SeparableConv1D(5, 3), STEPS),
    (lambda: n.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de", kernel_regularizer="l1"), STEPS),
    (lambda: n.GroupNormalization(2, epsilon=0.1), IMAGE),
    (lambda: n.BatchNormalization(renorm=True, renorm_clipping={"rmax": 2.0}), ROW),
    (lambda: n.RMSNormalization(epsilon=0.1), STEPS),
    (lambda: n.UnitNormalization(axis=[1, 2]), STEPS),
    (lambda: n.Masking(0.5), STEPS),
    (lambda: n.GaussianDropout(0.25, seed=3), ROW),
    (lambda: n.AlphaDropout(0.25, noise_shape=(None, 1)), ROW),
    (lambda: n.Cropping1D((1, 2)), STEPS),
    (lambda: n.ZeroPadding1D((1, 2)), STEPS),
    (lambda: n.ZeroPadding3D(((0, 1), (2, 1), (1, 0))), (2, 3, 4, 5)),
    (lambda: n.UpSampling1D(3), STEPS),
    (lambda: n.UpSampling2D(2, interpolation="bicubic"), IMAGE),
    (lambda: n.AdaptiveMaxPooling2D((2, 3)), IMAGE),
    (lambda: n.TimeDistributed(n.Conv1D(2, 3)), IMAGE),
    (lambda: n.SpectralNormalization(n.Dense(4), power_iterations=2), ROW),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_layer_made_from_its_config_computes_the_same(make: Any, shape: Any, rng: np.random.Generator) -> None:
    layer = make()
    x = rng.normal(size=(2, *shape)).astype("float32")
    wanted = layer(x)
    copy = type(layer).from_config(layer.get_config())
    copy(x)
    copy.set_weights(layer.get_weights())
    assert copy.get_config() == layer.get_config()
    np.testing.assert_array_equal(copy(x), wanted)


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_symbolic_shape_is_the_computed_shape(make: Any, shape: Any) -> None:
    layer = make()
    symbolic = layer(k.Input(shape)).shape
    assert symbolic[0] is None
    assert layer(np.zeros((2, *shape), "float32")).shape == (2, *symbolic[1:])


def test_unknown_sizes_stay_unknown() -> None:
    assert n.Conv1D(4, 3)(k.Input((None, 3))).shape == (None, None, 4)
    assert n.Dense(2)(k.Input((None, None, 3))).shape == (None, None, None, 2)
    assert n.GlobalMaxPooling1D()(k.Input((None, 3))).shape == (None, 3)


def test_weights_of_batch_normalization_in_keras_order() -> None:
    layer = n.BatchNormalization(name="bn")
    layer.build((None, 3))
    assert [w.path for w in layer.weights] == ["bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"]
    assert [w.name for w in layer.non_trainable_weights] == ["moving_mean", "moving_variance"]


def test_frozen_batch_normalization_infers_even_when_training() -> None:
    layer = n.BatchNormalization()
    x = np.random.rand(4, 3).astype("float32")
    layer(x)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1.001), rtol=1e-6)
    assert layer.trainable_weights == []


def test_state_in_lists_and_dicts_is_tracked_when_added_later() -> None:
    class Stack(n.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.blocks: list[Any] = []
            self.heads: dict[str, Any] = {}
            for size in (3, 4):
                self.blocks.append(n.Dense(size))
            self.heads["a"] = n.Dense(2)

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return self.heads["a"](x)

    layer = Stack()
    assert layer(np.zeros((2, 5), "float32")).shape == (2, 2)
    assert [w.shape for w in layer.weights] == [(5, 3), (3,), (3, 4), (4,), (4, 2), (2,)]


def test_paths_of_weights() -> None:
    model = k.Sequential([k.Input((4,)), n.Dense(3, name="a")], name="m")
    functional = k.Model(k_input := k.Input((4,)), n.Dense(3, name="b")(k_input))
    assert [w.path for w in model.weights] == ["m/a/kernel", "m/a/bias"]
    assert [w.path for w in functional.weights] == ["b/kernel", "b/bias"]


def test_automatic_names_count_per_class() -> None:
    k.backend.clear_session()
    assert [n.ReLU().name, n.ReLU().name, n.Conv2D(1, 1).name, n.MaxPooling2D().name] == [
        "re_lu",
        "re_lu_1",
        "conv2d",
        "max_pooling2d",
    ]


def test_mask_of_an_embedding_reaches_pooling() -> None:
    table = np.arange(12, dtype="float32").reshape(4, 3)
    embedding = n.Embedding(4, 3, mask_zero=True, weights=[table])
    inputs = k.Input((3,), dtype="int32")
    model = k.Model(inputs, n.GlobalAveragePooling1D()(embedding(inputs)))
    found = model.predict(np.array([[1, 3, 0], [2, 0, 0]]), verbose=0)
    np.testing.assert_allclose(found, [(table[1] + table[3]) / 2, table[2]], rtol=1e-6)


def test_dropout_draws_anew_at_every_call_and_counts() -> None:
    layer = n.Dropout(0.5, seed=3)
    x = np.ones((4, 50), "float32")
    first, second = layer(x, training=True), layer(x, training=True)
    assert (first != second).any()
    assert layer.seed_generator.state.numpy().tolist() == [3, 2]
    np.testing.assert_array_equal(layer(x), x)
    assert layer.weights == []


def test_old_spellings_warn() -> None:
    with pytest.warns(UserWarning, match="Do not pass an `input_shape`"):
        model = k.Sequential([n.Dense(3, input_dim=4)])
    assert model.input_shape == (None, 4)
    with pytest.warns(DeprecationWarning, match="batch_input_shape"):
        n.Dense(3, batch_input_shape=(None, 4))


def test_pooling_of_channels_first_behind_a_dense_layer(rng: np.random.Generator) -> None:
    # the matrix product runs inside the pooling's kernel, with its operand packed for every tap of the window
    inputs = k.Input((4, 7, 6))
    dense = n.Dense(6)
    model = k.Model(inputs, n.MaxPooling2D(2, data_format="channels_first")(dense(inputs)))
    x = rng.normal(size=(3, 4, 7, 6)).astype("float32")
    rows = (x @ dense.kernel.numpy())[:, :, :6].reshape(3, 4, 3, 2, 3, 2)
    np.testing.assert_allclose(model.predict(x, verbose=0), rows.max(axis=(3, 5)), rtol=1e-5, atol=1e-6)


def test_transposed_convolution_is_the_input_gradient_of_a_convolution() -> None:
    inputs = k.Input((5, 7, 3))
    model = k.Model(inputs, n.Conv2DTranspose(4, 3, strides=2, padding="same")(inputs))
    graph = model.executable("infer", batch_size=2).graph("source")
    assert [type(node.op).__name__ for node in graph.nodes if "Conv" in type(node.op).__name__] == ["ConvInputGrad"]


def test_what_keras_has_and_graphc_not_says_so() -> None:
    for act in (
        lambda: n.Dense(3).quantize("int8"),
        lambda: n.Dense(3).enable_lora(4),
        lambda: n.Dense(3, lora_rank=4),
    ):
        with pytest.raises(NotImplementedError, match="is not supported"):
            act()


@pytest.mark.parametrize("equation", ["ab,bc", "a...,bc->ac", "...ab...,bc->...ac..."])
def test_malformed_equations(equation: str) -> None:
    with pytest.raises(ValueError, match="Invalid einsum equation"):
        n.EinsumDense(equation, 3)(np.zeros((2, 4), "float32"))


def test_activity_penalty_is_per_sample() -> None:
    inputs = k.Input((3,))
    model = k.Model(inputs, n.ActivityRegularization(l1=0.5)(inputs))
    model.compile("sgd", "mse")
    x = np.arange(12, dtype="float32").reshape(4, 3)
    np.testing.assert_allclose(model.evaluate(x, x, verbose=0), 0.5 * 66 / 4, rtol=1e-6)
