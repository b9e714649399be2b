"""A random configuration of each layer, with inputs that fit it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_cases.draw import Array, Case, Draw, New


def rows(d: Draw, rank: int | None = None) -> Array:
    """Floats of a shape with two to four different dimensions."""
    return d.floats(*d.sizes(rank or d.size(2, 4)))


def image(d: Draw, rank: int, data_format: str = "channels_last", low: int = 5, high: int = 9) -> Array:
    """Floats of `rank` spatial axes, with a batch and channels."""
    batch, channels = d.sizes(2, 2, 4)
    space = d.sizes(rank, low, high)
    return d.floats(batch, channels, *space) if data_format == "channels_first" else d.floats(batch, *space, channels)


def per_axis(d: Draw, rank: int, low: int, high: int) -> Any:
    """One number for all axes, or a tuple of one for each."""
    return d.size(low, high) if d.flag() else tuple(d.size(low, high) for _ in range(rank))


def strided(d: Draw, rank: int) -> dict[str, Any]:
    """Strides or dilation, never both."""
    return d.one({}, {"strides": per_axis(d, rank, 2, 3)}, {"dilation_rate": per_axis(d, rank, 2, 2)})


def conv(d: Draw, rank: int) -> Case:
    data_format = d.one("channels_last", "channels_last", "channels_first")
    groups = d.one(1, 1, 2)
    batch, space = d.size(2, 4), d.sizes(rank, 6, 9)
    channels = 2 * d.size(1, 2) if groups == 2 else d.size(1, 4)
    x = d.floats(batch, channels, *space) if data_format == "channels_first" else d.floats(batch, *space, channels)
    options = {
        "filters": groups * d.size(1, 3), "kernel_size": per_axis(d, rank, 1, 3), "groups": groups,
        "padding": d.one("valid", "same", *(["causal"] if rank == 1 and data_format == "channels_last" else [])),
        "data_format": data_format, "activation": d.activation(), **strided(d, rank), **d.kernel(), **d.activity(),
    }  # fmt: skip
    return Case([x], options)


def conv_transpose(d: Draw, rank: int) -> Case:
    stride = d.size(1, 3)
    data_format = d.one("channels_last", "channels_first")
    options = {
        "filters": d.size(1, 3), "kernel_size": per_axis(d, rank, 1, 4), "strides": stride,
        "padding": d.one("valid", "same"), "activation": d.activation(), "data_format": data_format, **d.kernel(),
    }  # fmt: skip
    if stride > 1 and d.flag():
        options["output_padding"] = d.size(0, stride - 1)
    return Case([image(d, rank, data_format, 3, 6)], options)


def depthwise(d: Draw, rank: int) -> Case:
    data_format = d.one("channels_last", "channels_first")
    options = {
        "kernel_size": per_axis(d, rank, 1, 3), "depth_multiplier": d.size(1, 3), "padding": d.one("valid", "same"),
        "strides": d.size(1, 2), "activation": d.activation(), "data_format": data_format,
        **d.kernel("depthwise"), **d.activity(),
    }  # fmt: skip
    return Case([image(d, rank, data_format)], options)


def separable(d: Draw, rank: int) -> Case:
    options = {
        "filters": d.size(1, 5), "kernel_size": per_axis(d, rank, 1, 3), "depth_multiplier": d.size(1, 3),
        "padding": d.one("valid", "same"), "strides": d.size(1, 2), "activation": d.activation(),
        **d.kernel("depthwise"), **d.kernel("pointwise"),
    }  # fmt: skip
    return Case([image(d, rank)], options)


def pooling(d: Draw, rank: int) -> Case:
    data_format = d.one("channels_last", "channels_first")
    options = {
        "pool_size": per_axis(d, rank, 1, 3), "strides": d.maybe(per_axis(d, rank, 1, 3)),
        "padding": d.one("valid", "same"), "data_format": data_format,
    }  # fmt: skip
    return Case([image(d, rank, data_format)], options)


def global_pooling(d: Draw, rank: int) -> Case:
    data_format = d.one("channels_last", "channels_first")
    x = image(d, rank, data_format)
    return Case(
        [x], {"keepdims": d.flag(), "data_format": data_format}, takes_mask=rank == 1 and data_format == "channels_last"
    )


def adaptive_pooling(d: Draw, rank: int, wrt: tuple[int, ...] | None = None) -> Case:
    return Case([image(d, rank)], {"output_size": per_axis(d, rank, 1, 4)}, wrt=wrt)


def merge(d: Draw, least: int = 2, most: int = 4, **options: Any) -> Case:
    """Several inputs of one shape; now and then with axes of one, which broadcast."""
    shape = d.sizes(d.size(2, 4))
    inputs = [d.floats(*shape) for _ in range(d.size(least, most))]
    if len(shape) > 2 and d.flag():
        inputs[1] = inputs[1][:, :1]
    return Case(inputs, options)


def concatenate(d: Draw) -> Case:
    shape = d.sizes(d.size(2, 4))
    axis = d.one(-1, *range(1, len(shape)))
    inputs = []
    for size in d.sizes(d.size(2, 3), 1, 5):
        own = list(shape)
        own[axis] = size
        inputs.append(d.floats(*own))
    return Case(inputs, {"axis": axis})


def dot(d: Draw) -> Case:
    batch, a, b, c = d.sizes(4)
    normalize = d.flag()
    if d.flag():
        return Case([d.floats(batch, a), d.floats(batch, a)], {"axes": 1, "normalize": normalize})
    return Case([d.floats(batch, a, b), d.floats(batch, c, a)], {"axes": (1, 2), "normalize": normalize})


def batch_normalization(d: Draw) -> Case:
    x = rows(d)
    options = {
        "axis": d.one(-1, *range(1, x.ndim)), "momentum": d.number_in(0.3, 0.99), "epsilon": d.number_in(0.001, 0.1),
        "center": d.flag(), "scale": d.flag(), "beta_initializer": d.initializer(),
        "gamma_regularizer": d.regularizer(), "beta_constraint": d.constraint(),
    }  # fmt: skip
    return Case([x], options, takes_mask=x.ndim == 3 and options["axis"] in (-1, 2))


def layer_normalization(d: Draw) -> Case:
    x = rows(d)
    axis = d.one(-1, x.ndim - 1, [x.ndim - 2, x.ndim - 1] if x.ndim > 2 else [1])
    options = {
        "axis": axis, "epsilon": d.number_in(0.001, 0.1), "center": d.flag(), "scale": d.flag(),
        "gamma_initializer": d.one("ones", "he_uniform" if isinstance(axis, list) and len(axis) > 1 else "zeros"),
        "beta_regularizer": d.regularizer(), "gamma_constraint": d.one(None, "non_neg"),
    }  # fmt: skip
    return Case([x], options)


def group_normalization(d: Draw) -> Case:
    groups = d.one(1, 2, 3, -1)
    batch, *space = d.sizes(d.size(1, 3))
    x = d.floats(batch, *space, d.one(6, 12))
    options = {
        "groups": groups, "epsilon": d.number_in(0.001, 0.1), "center": d.flag(), "scale": d.flag(),
        "gamma_regularizer": d.regularizer(), "beta_initializer": d.initializer(),
    }  # fmt: skip
    return Case([x], options)


def padding(d: Draw, rank: int, option: str, high: int) -> Case:
    pairs = tuple((d.size(0, high), d.size(0, high)) for _ in range(rank))
    value = d.one(d.size(1, high), tuple(d.size(0, high) for _ in range(rank)), pairs)
    if rank == 1:
        value = d.one(d.size(1, high), pairs[0])
    data_format = d.one("channels_last", "channels_first") if rank > 1 else "channels_last"
    return Case([image(d, rank, data_format)], {option: value, **({"data_format": data_format} if rank > 1 else {})})


def upsampling(d: Draw, rank: int) -> Case:
    if rank == 2:
        data_format = d.one("channels_last", "channels_first")
        how = d.one("nearest", "bilinear", "bicubic", "lanczos3")
        options = {"size": per_axis(d, 2, 1, 3), "data_format": data_format, "interpolation": how}
        return Case([image(d, 2, data_format, 3, 6)], options)
    return Case([image(d, rank, low=2, high=5)], {"size": d.size(1, 3)})


def dropout(d: Draw, rank: int | None = None, option: str = "rate", **options: Any) -> Case:
    x = rows(d, rank)
    return Case([x], {option: d.number_in(0.1, 0.7), "seed": d.size(1, 1000), **options}, is_random=True, steps=3)


def noisy(d: Draw) -> Case:
    x = rows(d)
    shape = [None, *(d.one(1, n) for n in x.shape[1:])]
    return Case([x], {"rate": d.number_in(0.1, 0.7), "seed": 7, "noise_shape": d.maybe(shape)}, is_random=True, steps=3)


def embedding(d: Draw) -> Case:
    ids, width = d.sizes(2, 3, 12)
    options = {
        "input_dim": ids, "output_dim": width, "mask_zero": d.flag(), "embeddings_initializer": d.initializer(),
        "embeddings_regularizer": d.regularizer(), "embeddings_constraint": d.constraint(),
    }  # fmt: skip
    x = d.integers(ids, *d.sizes(d.size(1, 3)))
    return Case([x.astype("float32") if d.number % 5 == 4 else x], options)


def einsum_dense(d: Draw) -> Case:
    equation, shape, out, bias = d.one(
        ("abc,cd->abd", (3, 5, 4), (5, 6), "d"), ("abc,cde->abde", (3, 2, 4), (2, 5, 6), "e"),
        ("...x,xy->...y", (2, 3, 4), 5, "y"), ("abc,bd->acd", (2, 3, 4), (4, 6), "d"), ("ab,bc->ac", (3, 5), 7, None),
    )  # fmt: skip
    options = {"equation": equation, "output_shape": out, "bias_axes": bias, "activation": d.activation()}
    kernel = {key: value for key, value in d.kernel().items() if key != "use_bias"}
    return Case([d.floats(*shape)], {**options, **kernel})


def reshape(d: Draw) -> Case:
    batch, a, b = d.sizes(3)
    return Case(
        [d.floats(batch, a, 2 * b)], {"target_shape": d.one((2, a * b), (-1, a), (a * 2, -1), (a, b, 2), (-1,))}
    )


def permute(d: Draw) -> Case:
    x = rows(d)
    return Case([x], {"dims": tuple(int(n) for n in d.rng.permutation(np.arange(1, x.ndim)))})


def prelu(d: Draw) -> Case:
    x = rows(d)
    shared = d.maybe([1] if x.ndim > 2 else None)
    return Case([x], {
        "alpha_initializer": d.initializer(), "alpha_regularizer": d.regularizer(), "alpha_constraint": d.one(None, "non_neg"),
        "shared_axes": shared,
    })  # fmt: skip


def masking(d: Draw) -> Case:
    x = rows(d, 3)
    value = d.one(-0.5, 0.25, 2.0)  # equal in every float type
    x[0, 1:] = value
    return Case([x], {"mask_value": value})


def spectral(d: Draw) -> Case:
    inner = d.one(
        New("layers.Dense", units=4, name="inner"), New("layers.Conv2D", filters=3, kernel_size=2, name="inner")
    )
    x = rows(d, 2) if inner.path == "layers.Dense" else image(d, 2)
    return Case([x], {"layer": inner, "power_iterations": d.size(1, 3)})


def time_distributed(d: Draw) -> Case:
    inner = d.one(
        New("layers.Dense", units=5, activation=d.activation(), name="inner"),
        New("layers.Conv1D", filters=3, kernel_size=2, name="inner"),
        New("layers.Flatten", name="inner"),
    )
    return Case([rows(d, 4)], {"layer": inner})


def reversible(d: Draw) -> Case:
    ids, width = d.sizes(2, 3, 9)
    tied = d.flag()
    options = {"input_dim": ids, "output_dim": width, "tie_weights": tied, "embeddings_initializer": d.initializer()}
    return Case([d.integers(ids, *d.sizes(2))], options)


# fmt: off
LAYERS: dict[str, Callable[[Draw], Case]] = {
    "Activation": lambda d: Case([rows(d)], {"activation": d.activation(), **d.activity()}),
    "ActivityRegularization": lambda d: Case([rows(d)], {"l1": d.number_in(0, 0.1), "l2": d.number_in(0, 0.1)}),
    "AdaptiveAveragePooling1D": lambda d: adaptive_pooling(d, 1),
    "AdaptiveAveragePooling2D": lambda d: adaptive_pooling(d, 2),
    "AdaptiveAveragePooling3D": lambda d: adaptive_pooling(d, 3),
    # Keras's own gradient of these differs from run to run
    "AdaptiveMaxPooling1D": lambda d: adaptive_pooling(d, 1, wrt=()),
    "AdaptiveMaxPooling2D": lambda d: adaptive_pooling(d, 2, wrt=()),
    "AdaptiveMaxPooling3D": lambda d: adaptive_pooling(d, 3, wrt=()),
    "Add": merge,
    "AlphaDropout": noisy,
    "Average": merge,
    "AveragePooling1D": lambda d: pooling(d, 1),
    "AveragePooling2D": lambda d: pooling(d, 2),
    "AveragePooling3D": lambda d: pooling(d, 3),
    "BatchNormalization": batch_normalization,
    "Concatenate": concatenate,
    "Conv1D": lambda d: conv(d, 1),
    "Conv1DTranspose": lambda d: conv_transpose(d, 1),
    "Conv2D": lambda d: conv(d, 2),
    "Conv2DTranspose": lambda d: conv_transpose(d, 2),
    "Conv3D": lambda d: conv(d, 3),
    "Conv3DTranspose": lambda d: conv_transpose(d, 3),
    "Cropping1D": lambda d: padding(d, 1, "cropping", 2),
    "Cropping2D": lambda d: padding(d, 2, "cropping", 2),
    "Cropping3D": lambda d: padding(d, 3, "cropping", 2),
    "Dense": lambda d: Case([rows(d)], {"units": d.size(), "activation": d.activation(), **d.kernel(), **d.activity()}),
    "DepthwiseConv1D": lambda d: depthwise(d, 1),
    "DepthwiseConv2D": lambda d: depthwise(d, 2),
    "Dot": dot,
    "Dropout": noisy,
    "ELU": lambda d: Case([rows(d)], {"alpha": d.number_in(0.1, 2)}),
    "EinsumDense": einsum_dense,
    "Embedding": embedding,
    "Flatten": lambda d: Case([rows(d)], {"data_format": d.one("channels_last", "channels_first")}),
    "GaussianDropout": lambda d: dropout(d),
    "GaussianNoise": lambda d: dropout(d, option="stddev"),
    "GlobalAveragePooling1D": lambda d: global_pooling(d, 1),
    "GlobalAveragePooling2D": lambda d: global_pooling(d, 2),
    "GlobalAveragePooling3D": lambda d: global_pooling(d, 3),
    "GlobalMaxPooling1D": lambda d: global_pooling(d, 1),
    "GlobalMaxPooling2D": lambda d: global_pooling(d, 2),
    "GlobalMaxPooling3D": lambda d: global_pooling(d, 3),
    "GroupNormalization": group_normalization,
    "Identity": lambda d: Case([rows(d)]),
    "LayerNormalization": layer_normalization,
    "LeakyReLU": lambda d: Case([rows(d)], {"negative_slope": d.number_in(0, 0.6)}),
    "Masking": masking,
    "MaxPooling1D": lambda d: pooling(d, 1),
    "MaxPooling2D": lambda d: pooling(d, 2),
    "MaxPooling3D": lambda d: pooling(d, 3),
    "Maximum": merge,
    "Minimum": merge,
    "Multiply": merge,
    "PReLU": prelu,
    "Permute": permute,
    "RMSNormalization": lambda d: Case([rows(d)], {"epsilon": d.number_in(0.001, 0.1)}),
    "ReLU": lambda d: Case([rows(d)], {
        "max_value": d.maybe(d.number_in(0.5, 2)), "negative_slope": d.number_in(0, 0.5), "threshold": d.number_in(0, 0.4),
    }),
    "RepeatVector": lambda d: Case([rows(d, 2)], {"n": d.size()}),
    "Rescaling": lambda d: Case([rows(d)], {"scale": d.number_in(-2, 2), "offset": d.number_in(-2, 2)}),
    "Reshape": reshape,
    "ReversibleEmbedding": reversible,
    "SeparableConv1D": lambda d: separable(d, 1),
    "SeparableConv2D": lambda d: separable(d, 2),
    "Softmax": lambda d: Case([rows(d, 3)], {"axis": d.one(-1, 1, [1, 2])}),
    "SpatialDropout1D": lambda d: dropout(d, 3),
    "SpatialDropout2D": lambda d: dropout(d, 4, data_format=d.one("channels_last", "channels_first")),
    "SpatialDropout3D": lambda d: dropout(d, 5, data_format=d.one("channels_last", "channels_first")),
    "SpectralNormalization": spectral,
    "Subtract": lambda d: merge(d, most=2),
    "TimeDistributed": time_distributed,
    "UnitNormalization": lambda d: Case([rows(d, 3)], {"axis": d.one(-1, 1, [1, 2])}),
    "UpSampling1D": lambda d: upsampling(d, 1),
    "UpSampling2D": lambda d: upsampling(d, 2),
    "UpSampling3D": lambda d: upsampling(d, 3),
    "ZeroPadding1D": lambda d: padding(d, 1, "padding", 3),
    "ZeroPadding2D": lambda d: padding(d, 2, "padding", 3),
    "ZeroPadding3D": lambda d: padding(d, 3, "padding", 3),
}
# fmt: on
