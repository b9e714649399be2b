"""Ops in configurations: Keras writes each as a class of its own, with some arguments in its config.

Facts from Keras 3.15's operation classes. The class is the function's name in camel case but for `_CLASSES`; its `call`
takes the first arguments of the function, its constructor the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from graphc.tensor import KerasTensor
from graphc.tracing import map_leaves

# Keras's module: how many leading arguments its `call` takes, and the functions of which that is true.
_NUMPY = {
    1: """absolute all amax amin angle any arccos arccosh arcsin arcsinh arctan arctanh argmax argmin argpartition
    argsort array array_split bincount bitwise_invert bitwise_not broadcast_to cbrt ceil clip concatenate conjugate
    copy corrcoef cos cosh count_nonzero cumprod cumsum deg2rad diag diagflat diagonal diff dsplit dstack empty_like
    exp exp2 expand_dims expm1 fabs flip fliplr flipud floor histogram hsplit hstack imag isfinite isinf isnan isneginf
    isposinf isreal log log10 log1p log2 logical_not max mean median meshgrid min moveaxis nan_to_num nanargmax
    nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar ndim negative nonzero
    ones_like prod ptp rad2deg ravel real reciprocal repeat reshape roll rot90 round sign signbit sin sinc sinh size
    slogdet sort split sqrt square squeeze stack std sum swapaxes tan tanh tile trace transpose trapezoid tril triu
    trunc unique unravel_index vander var view vsplit vstack zeros_like""",
    2: """add allclose append arctan2 average bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
    correlate cross digitize divide divide_no_nan dot equal floor_divide fmax fmin fmod full_like gcd geomspace
    get_item greater greater_equal heaviside hypot inner isin kron lcm ldexp left_shift less less_equal linspace
    logaddexp logaddexp2 logical_and logical_or logical_xor logspace matmul maximum minimum mod multiply nanpercentile
    nanquantile nextafter not_equal outer pad percentile power quantile right_shift searchsorted subtract take
    take_along_axis tensordot true_divide vdot""",
    3: "arange select where",
    4: "isclose",
}
_NN = {
    1: """adaptive_average_pool adaptive_max_pool average_pool celu depth_to_space elu fold gelu glu hard_shrink
    hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid log_softmax max_pool moments multi_hot normalize one_hot
    relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign space_to_depth sparse_plus sparse_sigmoid
    sparsemax squareplus tanh_shrink threshold unfold""",
    2: """binary_crossentropy categorical_crossentropy conv conv_transpose ctc_decode depthwise_conv polar psnr
    rms_normalization sparse_categorical_crossentropy""",
    3: "layer_normalization separable_conv",
    4: "ctc_loss",
    5: "batch_normalization",
    6: "dot_product_attention",
}
_CORE = {
    1: "cast convert_to_tensor saturate_cast stop_gradient unstack",
    2: "scatter slice",
    3: "scatter_update slice_update",
}
_MATH = {
    1: """erf erfc erfinv extract_sequences fft fft2 ifft2 irfft istft logdet logsumexp rfft rsqrt stft top_k
    view_as_complex view_as_real""",
    2: "cdist in_top_k segment_max segment_min segment_prod segment_sum",
}
_IMAGE = {
    1: """crop_images elastic_transform extract_patches gaussian_blur hsv_to_rgb pad_images resize rgb_to_grayscale
    rgb_to_hsv sobel_edges""",
    2: "affine_transform map_coordinates ssim",
    3: "perspective_transform",
    4: "scale_and_translate",
}
_LINALG = {
    1: "cholesky cholesky_inverse det eig eigh inv lu_factor matrix_rank norm pinv qr svd",
    2: "lstsq solve solve_triangular",
}
_TABLES = {"numpy": _NUMPY, "nn": _NN, "core": _CORE, "math": _MATH, "image": _IMAGE, "linalg": _LINALG}

# function: its class, where that is not its name in camel case
_CLASSES = {
    "allclose": "AllClose", "isin": "IsIn", "searchsorted": "SearchSorted", "batch_normalization": "BatchNorm",
    "ctc_loss": "CTCLoss", "ctc_decode": "CTCDecode", "psnr": "PSNR", "rms_normalization": "RMSNorm",
    "layer_normalization": "LayerNorm", "cdist": "CDist", "fft": "FFT", "fft2": "FFT2", "ifft2": "IFFT2",
    "rfft": "RFFT", "irfft": "IRFFT", "stft": "STFT", "istft": "ISTFT", "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV", "hsv_to_rgb": "HSVToRGB", "ssim": "SSIM", "svd": "SVD",
}  # fmt: skip
_SYNONYMS = {"abs": "absolute"}
# function: the arguments of `call` that are not its first ones
_CALLED_WITH = {
    "batch_normalization": ("x", "mean", "variance", "offset", "scale"),
    "average": ("x", "weights"),
    "pad": ("x", "constant_values"),
}


def _camel(function: str) -> str:
    return _CLASSES.get(function) or "".join(word.capitalize() for word in function.split("_"))


_MODULE_OF = {
    name: (module, count)
    for module, table in _TABLES.items()
    for count, names in table.items()
    for name in names.split()
}
_FUNCTION_OF = {
    **{(f"keras.src.ops.{module}", _camel(name)): name for name, (module, _) in _MODULE_OF.items()},
    ("keras.src.ops.numpy", "Einsum"): "einsum",
}


def serialize_operation(operation: Any) -> dict[str, Any]:
    """The config of one use of an op in a functional model; its constructor's arguments come from its node.

    Raises ValueError for an op Keras has no class for.
    """
    function = _name_of(operation.function)
    if function != "einsum" and function not in _MODULE_OF:
        raise ValueError(
            f"Operation {operation.name}: Keras's file format has no class for the op `{function}`; put it into a "
            "layer of your own with `get_config`"
        )
    module = _MODULE_OF[function][0] if function != "einsum" else "numpy"
    name = _camel(function)
    _, options = split_arguments(operation)
    return {
        "module": f"keras.src.ops.{module}",
        "class_name": name,
        "config": {"name": operation.name, **options},
        "registered_name": name,
    }


def split_arguments(operation: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the op's only call: what Keras's `call` gets, and what its constructor gets."""
    node = operation._inbound_nodes[0]
    if operation.function.__name__ == "einsum":
        return list(node.args[1:]), {"subscripts": node.args[0]}
    bound = inspect.signature(operation.function).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    called = _called_with(operation.function)
    given = [bound.arguments[name] for name in called]
    return given, {name: value for name, value in bound.arguments.items() if name not in called}


def _name_of(function: Callable[..., Any]) -> str:
    name = function.__name__.lstrip("_")
    return _SYNONYMS.get(name, name)


def _called_with(function: Callable[..., Any]) -> tuple[str, ...]:
    name = _name_of(function)
    return _CALLED_WITH.get(name) or tuple(inspect.signature(function).parameters)[: _MODULE_OF[name][1]]


def is_operation(entry: Any) -> bool:
    """Whether a config stands for an op."""
    return isinstance(entry, dict) and str(entry.get("module")).startswith("keras.src.ops.")


def with_module(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of Keras's older format, which leaves the module out: an op's is the one that has its class.

    Layers of the same class name (`Add`) are told from ops by their config, which always says whether they train.
    """
    if "module" in entry or "trainable" in entry["config"] or "dtype" in entry["config"]:
        return entry
    module = next((module for module, name in _FUNCTION_OF if name == entry.get("class_name")), None)
    return entry if module is None else {**entry, "module": module}


def deserialize_operation(entry: dict[str, Any]) -> Any:
    """A use of the op a config names, not yet called. ValueError for a class that is not in the table."""
    from graphc import ops

    name = _FUNCTION_OF.get((entry.get("module"), entry.get("class_name")))  # type: ignore[arg-type]
    function = None if name is None else getattr(ops, name, None) or getattr(ops.image, name, None)
    if function is None:
        raise ValueError(f"Operation {entry.get('class_name')!r} of module {entry.get('module')!r} is not known")
    options = dict(entry.get("config") or {})
    return RestoredCall(function, str(options.pop("name", name)), options)


class RestoredCall:
    """An op from a file: called with what Keras's `call` gets, it calls the op with all its arguments."""

    def __init__(self, function: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
        self.function = function
        self.name = name
        self.options = options
        self._inbound_nodes: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outputs = self._call(args, kwargs)
        made: list[Any] = []
        map_leaves(lambda tensor: made.append(tensor._keras_history.operation), KerasTensor, outputs)
        if made:
            made[0].name = self.name
            self._inbound_nodes = made[0]._inbound_nodes
        return outputs

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.function.__name__ == "einsum":
            return self.function(self.options["subscripts"], *args)
        called = _called_with(self.function)
        named = dict(zip(called, args, strict=False))
        if isinstance(named.get("key"), list):
            named["key"] = tuple(named["key"])
        known = inspect.signature(self.function).parameters
        options = {name: value for name, value in self.options.items() if name in known or value is not None}
        return self.function(named.pop(called[0]), **named, **options, **kwargs)
