"""Errors of models, of `compile` and of the data given to `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as k
from graphc import layers as n

X, Y, LABELS = np.zeros((10, 4), "float32"), np.zeros((10, 3), "float32"), np.zeros(10, int)


def net(loss: Any = "mse", metrics: Any = None, optimizer: Any = "sgd") -> Any:
    layers = [k.Input((4,), name="x"), n.Dense(3, activation="softmax", name="d")]
    model = k.Sequential(layers, name="net")
    model.compile(optimizer, loss, metrics=metrics)
    return model


def labels_with(value: int, row: int) -> Any:
    labels = LABELS.copy()
    labels[row] = value
    return labels


def disconnected() -> Any:
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    return k.Model(a, n.Add()([a, b]))


def same_names() -> Any:
    x = k.Input((3,), name="x")
    return k.Model(x, n.Dense(2, name="a")(n.Dense(2, name="a")(x)))


CASES: dict[str, tuple[Any, type[Exception], str]] = {
    "width": (
        lambda: net().predict(np.zeros((2, 5)), verbose=0),
        ValueError,
        "Input 0 with name 'x' of layer 'net' is incompatible with the layer: expected shape=(None, 4), found "
        "shape=(2, 5). Model net was built for inputs of shape (None, 4)",
    ),
    "label_high": (
        lambda: net("sparse_categorical_crossentropy").fit(X, labels_with(7, 5), verbose=0),
        ValueError,
        "label 7 is out of range [0, 3) (row 5)",
    ),
    "label_low": (
        lambda: net("sparse_categorical_crossentropy").evaluate(X, labels_with(-1, 9), verbose=0),
        ValueError,
        "label -1 is out of range [0, 3) (row 9)",
    ),
    "optimizer": (
        lambda: net(optimizer="sgdd"),
        ValueError,
        "Could not interpret optimizer identifier: sgdd. Did you mean 'sgd'?",
    ),
    "loss": (
        lambda: net("msee").fit(X, Y, verbose=0),
        ValueError,
        "Could not interpret loss identifier: msee. Did you mean 'mse'?",
    ),
    "metric": (
        lambda: net(metrics=["acuracy"]).fit(X, Y, verbose=0),
        ValueError,
        "Could not interpret metric identifier: acuracy. Did you mean 'accuracy'?",
    ),
    "metrics_kind": (
        lambda: net(metrics="mae"),
        ValueError,
        "Expected `metrics` argument to be a list, tuple, or dict. Received instead: metrics=mae of type <class 'str'>",
    ),
    "not_compiled": (
        lambda: k.Sequential([n.Dense(3)]).fit(X, Y),
        ValueError,
        "You must call `compile()` before using the model.",
    ),
    "no_loss": (
        lambda: net(None).fit(X, Y, verbose=0),
        ValueError,
        "No loss to compute. Provide a `loss` argument in `compile()`.",
    ),
    "lengths": (
        lambda: net().fit(X, Y[:9], verbose=0),
        ValueError,
        "Data cardinality is ambiguous. Make sure all arrays contain the same number of samples.'x' sizes: 10\n'y' "
        "sizes: 9\n",
    ),
    "target_shape": (
        lambda: net("categorical_crossentropy").fit(X, np.zeros((10, 4)), verbose=0),
        ValueError,
        "Arguments `target` and `output` must have the same shape. Received: target.shape=(10, 4), output.shape=(10, 3)",
    ),
    "sparse_target_shape": (
        lambda: net("sparse_categorical_crossentropy").fit(X, Y, verbose=0),
        ValueError,
        "Arguments `target` and `output` must have the same shape up until the last dimension: target.shape=(10, 3), "
        "output.shape=(10, 3)",
    ),
    "validation_split": (
        lambda: net().fit(X, Y, validation_split=1.0, verbose=0),
        ValueError,
        "Training data contains 10 samples, which is not sufficient to split it into a validation and training set as "
        "specified by `validation_split=1.0`. Either provide more data, or a different value for the `validation_split` "
        "argument.",
    ),
    "two_weights": (
        lambda: net("sparse_categorical_crossentropy").fit(
            X, LABELS, class_weight={0: 2.0}, sample_weight=np.ones(10), verbose=0
        ),
        ValueError,
        "You cannot `class_weight` and `sample_weight` at the same time.",
    ),
    "lists": (
        lambda: net().fit([[1.0, 2.0]], [[1.0]], verbose=0),
        ValueError,
        "Unrecognized data type: x=[[1.0, 2.0]] (of type <class 'list'>)",
    ),
    "batch_size": (
        lambda: net().fit(X, Y, batch_size=2.5, verbose=0),
        ValueError,
        "`batch_size` must be a positive whole number. Received: batch_size=2.5",
    ),
    "no_data": (lambda: net().fit(), ValueError, "fit() got no data: x is None"),
    "no_targets": (
        lambda: net().fit(X, verbose=0),
        ValueError,
        "The compiled loss compares with targets, and there are none: pass `y`, or batches (x, y)",
    ),
    "no_samples": (lambda: net().fit(X[:0], Y[:0], verbose=0), ValueError, "There are no samples: x has 0 rows"),
    "fit_keyword": (
        lambda: net().fit(X, Y, epoch=2),
        TypeError,
        "fit() got an unexpected keyword argument 'epoch'",
    ),
    "strings": (
        lambda: net().fit(np.array([["a"] * 4] * 10), Y, verbose=0),
        TypeError,
        "x: dtype <U1 cannot be used; convert the data to numbers first",
    ),
    "layer_names": (
        lambda: k.Sequential([n.Dense(3, name="a"), n.Dense(3, name="a")]),
        ValueError,
        "All layers added to a Sequential model should have unique names. Name 'a' is already the name of a layer in "
        "this model. Update the `name` argument to pass a unique name.",
    ),
    "operation_names": (
        same_names,
        ValueError,
        'The name "a" is used 2 times in the model. All operation names should be unique.',
    ),
    "save_extension": (
        lambda: net().save("model.foo"),
        ValueError,
        "Invalid filepath extension for saving. Please add either a `.keras` extension for the native Keras format "
        "(recommended) or a `.h5` extension. Received: filepath=model.foo.",
    ),
    "weights_extension": (
        lambda: net().save_weights("model.foo"),
        ValueError,
        "The filename must end in `.weights.h5`. Received: filepath=model.foo",
    ),
    "checkpoint_extension": (
        lambda: k.callbacks.ModelCheckpoint("model.foo"),
        ValueError,
        "The filepath provided must end in `.keras` (Keras model format). Received: filepath=model.foo",
    ),
    "no_file": (
        lambda: k.models.load_model("none.keras"),
        ValueError,
        "File not found: filepath=none.keras. Please ensure the file is an accessible `.keras` zip file.",
    ),
    "not_a_layer": (
        lambda: k.Sequential([3]),
        ValueError,
        "Only instances of `keras.Layer` can be added to a Sequential model. Received: 3 (of type <class 'int'>)",
    ),
    "disconnected": (
        disconnected,
        ValueError,
        "Output with path `` is not connected to `inputs`: it needs b, which is not one of them",
    ),
    "get_layer": (
        lambda: net().get_layer("e"),
        ValueError,
        "No such layer: e. Existing layers are: ['d'].",
    ),
    "set_weights_count": (
        lambda: net().set_weights([X]),
        ValueError,
        "You called `set_weights(weights)` on layer 'net' with a weight list of length 1, but the layer was expecting 2 "
        "weights.",
    ),
    "set_weights_shape": (
        lambda: net().set_weights([X, X]),
        ValueError,
        "Layer net weight shape (4, 3) is not compatible with provided weight shape (10, 4).",
    ),
    "scheduled_rate": (
        lambda: setattr(k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)), "learning_rate", 0.1),
        TypeError,
        "This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` constructor argument, "
        "hence its learning rate is not settable. If you need the learning rate to be settable, you should instantiate "
        "the optimizer with a float `learning_rate` argument.",
    ),
    "rate_nan": (
        lambda: k.optimizers.SGD(float("nan")),
        ValueError,
        "Argument `learning_rate` must be a number. Received: learning_rate=nan",
    ),
    "two_clips": (
        lambda: k.optimizers.SGD(clipnorm=1.0, clipvalue=1.0),
        ValueError,
        "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: clipnorm=1.0, clipvalue=1.0, "
        "global_clipnorm=None",
    ),
    "executable_mode": (
        lambda: net().executable("learn"),
        ValueError,
        "mode must be one of train, evaluate, infer; received: 'learn'",
    ),
    "executable_dtype": (
        lambda: net().executable("infer", 4)(np.zeros((4, 4))),
        TypeError,
        "input 'x': expected dtype float32, got float64",
    ),
    "compile_kind": (lambda: k.compile(3), TypeError, "compile: wanted a Model or a Graph, got int"),
}
