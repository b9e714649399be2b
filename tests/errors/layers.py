"""Errors of layers: arguments, shapes, building, naming."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as k
from graphc import layers as n

X = np.zeros((10, 4), "float32")


def forgot_super() -> None:
    class Mine(n.Layer):
        def __init__(self) -> None:
            self.inner = n.Dense(3)

    Mine()


def no_call() -> None:
    class Mine(n.Layer):
        pass

    Mine()(X)


def used_twice() -> None:
    dense = n.Dense(2, name="d")
    dense(k.Input((3,)))
    dense(k.Input((4,)))


CASES: dict[str, tuple[Any, type[Exception], str]] = {
    "activation": (
        lambda: n.Dense(3, activation="rellu"),
        ValueError,
        "Could not interpret activation function identifier: rellu. Did you mean 'relu'?",
    ),
    "activation_kind": (
        lambda: n.Dense(3, activation=3),
        ValueError,
        "Could not interpret activation function identifier: 3",
    ),
    "initializer": (
        lambda: n.Dense(3, kernel_initializer="glorot_norma"),
        ValueError,
        "Could not interpret initializer identifier: glorot_norma. Did you mean 'glorot_normal'?",
    ),
    "regularizer": (
        lambda: n.Dense(3, kernel_regularizer="l3"),
        ValueError,
        "Could not interpret regularizer identifier: l3",
    ),
    "units": (
        lambda: n.Dense(0),
        ValueError,
        "Received an invalid value for `units`, expected a positive integer. Received: units=0",
    ),
    "units_float": (
        lambda: n.Dense(2.5),  # type: ignore[arg-type]
        ValueError,
        "Received an invalid value for `units`, expected a positive integer. Received: units=2.5",
    ),
    "keyword": (
        lambda: n.Dense(3, use_bia=False),
        ValueError,
        "Unrecognized keyword arguments passed to Dense: {'use_bia': False}. Did you mean 'use_bias'?",
    ),
    "name": (
        lambda: n.Dense(3, name="a/b"),
        ValueError,
        "Argument `name` must be a string and cannot contain character `/`. Received: name=a/b (of type <class 'str'>)",
    ),
    "trainable": (
        lambda: n.Dense(3, trainable=1),
        ValueError,
        "Expected `trainable` to be a boolean. Received: trainable=1 (of type <class 'int'>)",
    ),
    "list_argument": (
        lambda: n.Dense(3)([1.0, 2.0]),
        ValueError,
        "Only input tensors may be passed as positional arguments. The following argument value should be passed as a "
        "keyword argument: 1.0 (of type <class 'float'>)",
    ),
    "used_twice": (
        used_twice,
        ValueError,
        "Input 0 with name 'None' of layer 'd' is incompatible with the layer: expected axis -1 of input shape to have "
        "value 3, but received input with shape (None, 4)",
    ),
    "rank": (
        lambda: n.Dense(3, name="d")(k.Input(())),
        ValueError,
        "Input 0 with name 'None' of layer 'd' is incompatible with the layer: expected min_ndim=2, found ndim=1. Full "
        "shape received: (None,)",
    ),
    "unknown_width": (
        lambda: n.Dense(3, name="d")(k.Input((None,))),
        ValueError,
        "Shapes used to initialize variables must be fully-defined (no `None` dimensions). Received: shape=(None, 3) "
        "for variable path='d/kernel'",
    ),
    "conv_window": (
        lambda: n.Conv2D(3, 5)(k.Input((3, 3, 1))),
        ValueError,
        "Computed output size would be zero or negative. Received `inputs shape=(None, 3, 3, 1)`, `kernel shape=(5, 5, "
        "1, 3)`, `dilation_rate=[1 1]`, `strides=(1, 1)`, `padding=valid`.",
    ),
    "conv_padding": (
        lambda: n.Conv2D(3, 3, padding="some"),
        ValueError,
        "The `padding` argument must be a list/tuple or one of {'valid', 'same'}. Received: some",
    ),
    "conv_kernel": (
        lambda: n.Conv2D(3, (3, 3, 3)),
        ValueError,
        "The `kernel_size` argument must be a tuple of 2 integers. Received kernel_size=(3, 3, 3)",
    ),
    "conv_strides_and_dilation": (
        lambda: n.Conv2D(3, 3, strides=2, dilation_rate=2),
        ValueError,
        "`strides > 1` not supported in conjunction with `dilation_rate > 1`. Received: strides=(2, 2) and "
        "dilation_rate=(2, 2)",
    ),
    "conv_groups": (
        lambda: n.Conv2D(3, 3, groups=2),
        ValueError,
        "The number of filters must be evenly divisible by the number of groups. Received: groups=2, filters=3.",
    ),
    "conv_channels": (
        lambda: n.Conv2D(4, 3, groups=2)(k.Input((9, 9, 3))),
        ValueError,
        "The number of input channels must be evenly divisible by the number of groups. Received groups=2, but the input "
        "has 3 channels (full input shape is (None, 9, 9, 3)).",
    ),
    "pool_window": (
        lambda: n.MaxPooling2D(5)(k.Input((3, 3, 1))),
        ValueError,
        "Computed output size would be zero or negative. Received: `inputs.shape=[None 3 3 1]`, `pool_size=[5 5]`, "
        "`strides=(5, 5)`, `padding=valid`.",
    ),
    "reshape": (
        lambda: n.Reshape((5,))(k.Input((4,))),
        ValueError,
        "The total size of the tensor must be unchanged. Received: input_shape=(4,), target_shape=(5,)",
    ),
    "reshape_unknowns": (
        lambda: n.Reshape((-1, -1)),
        ValueError,
        "There must be at most one unknown dimension (-1) in `target_shape`. Received: target_shape=(-1, -1).",
    ),
    "concatenate": (
        lambda: n.Concatenate()([k.Input((3, 4)), k.Input((2, 4))]),
        ValueError,
        "A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis. Received: "
        "input_shape=[(None, 3, 4), (None, 2, 4)]",
    ),
    "dropout_rate": (
        lambda: n.Dropout(1.5),
        ValueError,
        "Invalid value received for argument `rate`. Expected a float value between 0 and 1. Received: rate=1.5",
    ),
    "embedding_id": (
        lambda: n.Embedding(5, 2)(np.array([[0, 7]])),
        ValueError,
        "embedding id 7 is out of range [0, 5) (row 0, position 1)",
    ),
    "forgot_super": (
        forgot_super,
        RuntimeError,
        "In layer 'Mine', you forgot to call `super().__init__()` as the first statement in the `__init__()` method. Go "
        "add it!",
    ),
    "no_call": (no_call, NotImplementedError, "Layer Mine does not have a `call` method implemented."),
    "count_params": (
        lambda: n.Dense(3, name="d").count_params(),
        ValueError,
        "You tried to call `count_params` on layer 'd', but the layer isn't built. You can build it manually via: "
        "`layer.build(input_shape)`.",
    ),
    "input_shape": (lambda: k.Input(), ValueError, "You must pass a `shape` argument."),
    "input_size": (
        lambda: k.Input((3.5,)),
        ValueError,
        "Cannot convert '(3.5,)' to a shape. Found invalid dimension '3.5' of type '<class 'float'>'.",
    ),
    "iterate_symbolic": (
        lambda: list(k.Input((3,))),
        NotImplementedError,
        "Iterating over a symbolic KerasTensor is not supported.",
    ),
    "numpy_of_symbolic": (
        lambda: np.asarray(k.Input((3,))),
        ValueError,
        "A KerasTensor is symbolic: it's a placeholder for a shape an a dtype. It doesn't have any actual numerical "
        "value. You cannot convert it to a NumPy array.",
    ),
    "bool_of_symbolic": (
        lambda: bool(k.Input((3,), name="x")),
        TypeError,
        "<KerasTensor shape=(None, 3), dtype=float32, sparse=False, ragged=False, name=x> has no value yet and cannot "
        "decide a Python `if`; use `graphc.ops.where`",
    ),
    "gone_layer": (
        lambda: n.ThresholdedReLU,  # type: ignore[attr-defined]
        AttributeError,
        "keras.layers.ThresholdedReLU is gone since Keras 3: use ReLU(threshold=theta)",
    ),
    "unknown_layer": (
        lambda: n.Dens,  # type: ignore[attr-defined]
        AttributeError,
        "module 'graphc.layers' has no attribute 'Dens'. Did you mean: 'Dense'?",
    ),
    "assign_shape": (
        lambda: k.Variable(np.zeros(3), name="v").assign(np.zeros(4)),
        ValueError,
        "The shape of the target variable and the shape of the target value in `variable.assign(value)` must match. "
        "variable.shape=(3,), Received: value.shape=(4,). Target variable: <Variable path=v, shape=(3,), dtype=float32, "
        "value=[0. 0. 0.]>",
    ),
}
