"""Cases of elementwise ops, shapes, reductions, products and matrices."""

from __future__ import annotations

import math

import numpy as np
from ops_cases import DTYPES, GENERATOR, SPECIAL, all_of, case, floats, of, pairs_of, whole

# ---- elementwise

UNARY = (
    "abs", "absolute", "arcsinh", "arctan", "ceil", "conj", "conjugate", "copy", "cos", "cosh", "deg2rad", "exp",
    "exp2", "expm1", "fabs", "floor", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal", "logical_not",
    "rad2deg", "real", "round", "sigmoid", "sin", "sinh", "square", "tan", "tanh", "trunc", "zeros_like",
    "ones_like", "ravel", "cbrt", "sinc", "i0", "nan_to_num", "angle", "signbit",
)  # fmt: skip
for name in UNARY:
    all_of(name, tolerance=1e-5)
for name in ("negative", "sign"):
    all_of(name, ("float32", "int32", "int8"))
for name in ("imag",):
    all_of(name, ("float32",))
for name in ("bitwise_invert", "bitwise_not"):
    all_of(name, ("int32", "uint8", "int8", "bool"))
for name in ("log", "log10", "log1p", "log2", "sqrt", "rsqrt", "reciprocal"):
    case(name, floats(3, 5, low=0.1, high=9.0))
    case(name, whole(3, 5, low=1))
for name in ("arccos", "arcsin", "arctanh", "erfinv"):
    case(name, floats(3, 5, low=-0.9, high=0.9), tolerance=1e-5)
case("arccosh", floats(3, 5, low=1.1, high=9.0), tolerance=1e-5)
for name in ("erf", "erfc"):
    case(name, floats(3, 5, low=-3, high=5), tolerance=1e-5)
for name in ("floor", "ceil", "trunc", "round", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "nan_to_num",
             "signbit", "sign", "relu", "abs", "cbrt", "exp2", "fabs"):  # fmt: skip
    case(name, SPECIAL)
case("nan_to_num", SPECIAL, nan=2.0, posinf=9.0, neginf=-9.0)
case("round", floats(3, 5) * 100, decimals=-1)
case("round", floats(3, 5), decimals=2)
case("i0", floats(3, 5, low=-20, high=20), tolerance=1e-5)
case("clip", floats(3, 5), -1, 1)
case("clip", whole(3, 5), 2, 6)
case("clip", whole(3, 5), 2.5, 6)
case("clip", of("bool", 3, 5), 0, 1)
case("clip", floats(3, 5), floats(5, low=-1, high=0), floats(5, low=0, high=1))

for name in ("add", "subtract", "multiply", "maximum", "minimum", "equal", "not_equal", "less", "less_equal",
             "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "arctan2", "hypot", "logaddexp",
             "logaddexp2", "fmax", "fmin", "heaviside"):  # fmt: skip
    pairs_of(name, ("float32", "int32", "bool", "uint8") if name != "subtract" else ("float32", "int32", "uint8"),
             tolerance=1e-5)  # fmt: skip
for name in ("divide", "true_divide", "floor_divide", "mod", "fmod", "divide_no_nan"):
    for first in ("float32", "int32", "uint8"):
        for second in (floats(5, low=0.5), whole(5, low=1), whole(5, low=1, dtype="uint8")):
            case(name, of(first, 3, 5), second)
    case(name, floats(3, 5), 2)
    case(name, whole(3, 5), 3)
case("divide_no_nan", floats(3, 5), np.array([0, 1, 0, 2, 3], "float32"))
for base, exponent in ((floats(3, 5, low=0.1), floats(5)), (whole(3, 5), whole(5, high=4)), (floats(3, 5), 2),
                       (floats(3, 5), whole(5, high=4)), (whole(3, 5), 2), (2, floats(3, 5))):  # fmt: skip
    case("power", base, exponent, tolerance=1e-5)
for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    for left, right in (("int32", "int32"), ("uint8", "uint8"), ("int32", "uint8"), ("bool", "bool")):
        case(name, of(left, 3, 5), of(right, 5))
for name in ("left_shift", "right_shift", "bitwise_left_shift", "bitwise_right_shift"):
    case(name, whole(3, 5, low=-50, high=50), whole(5, high=5))
    case(name, whole(3, 5, high=50, dtype="uint8"), whole(5, high=5, dtype="uint8"))
case("right_shift", np.array([-5, 5], "int32"), np.array([40, 40], "int32"))
case("left_shift", np.array([-5, 5], "int32"), np.array([40, 40], "int32"))
for name in ("gcd", "lcm"):
    case(name, whole(3, 5, low=-30, high=30), whole(5, high=30))
    case(name, whole(3, 5, high=15, dtype="uint8"), whole(5, high=12, dtype="uint8"))
case("ldexp", floats(3, 5), whole(5, low=-3, high=4))
case("nextafter", np.array([0, 1, -1, 1, np.nan, 0, 2], "float32"), np.array([1, 2, -2, 0, 1, -1, 2], "float32"))
case("isclose", floats(3, 5), floats(3, 5))
case("isclose", np.array([1, np.nan, np.inf, 1], "float32"), np.array([1 + 1e-6, np.nan, np.inf, 2], "float32"))
case("isclose", np.array([1, np.nan], "float32"), np.array([1.1, np.nan], "float32"), rtol=0.2, equal_nan=True)
case("allclose", floats(3, 5), floats(3, 5))
case("allclose", SPECIAL, SPECIAL, equal_nan=True)
case("fmax", SPECIAL, SPECIAL[::-1].copy())
case("hypot", SPECIAL, SPECIAL[::-1].copy())
case("logaddexp", np.array([-np.inf, np.inf, 1000, 2], "float32"), np.array([-np.inf, 1, 1000, 3], "float32"))
case("where", of("bool", 3, 5), floats(5), whole(3, 5))
case("where", of("bool", 3, 5), whole(5), 0)
case("where", of("bool", 3, 5), whole(5), 0.5)
case("where", whole(3, 5, high=2), 1.0, 0.0)
case("select", [of("bool", 3, 5), of("bool", 3, 5)], [floats(3, 5), floats(3, 5)], 0.5)
case("select", [of("bool", 3, 5), of("bool", 3, 5)], [whole(3, 5), whole(3, 5)])
case("isin", whole(3, 5), whole(4))
case("isin", whole(3, 5), whole(4), invert=True)
for dtype in ("int32", "uint8", "bool", "float32", "int8"):
    case("cast", floats(3, 5, low=0), dtype)
    case("saturate_cast", np.array([-300.5, -1.2, 0, 5.7, 300.5], "float32"), dtype)
    if dtype != "float32":  # where Keras itself overflows
        case("saturate_cast", np.array([-300, -1, 0, 5, 300], "int32"), dtype)
case("view", floats(3, 5), "int32")
case("view", whole(3, 5), "float32", tolerance=0)

# ---- shapes

X, Y, V, W = floats(3, 5), floats(5, 7), floats(5), floats(4)
CUBE = floats(2, 3, 5)
case("array", [1, 2, 3])
case("array", [[1.5, 2], [3, 4]])
case("array", np.ones((2, 3), "float64"), "float32")
case("convert_to_tensor", [True, False])
case("zeros", (2, 3))
case("ones", (2, 3), "int32")
case("full", (2, 3), 2.5)
case("full", (2, 3), 7)
case("full", (2, 3), np.array([1, 2, 3], "int32"))
case("full_like", X, 2)
case("full_like", whole(3, 5), 2.5, "float32")
case("zeros_like", X, "int32")
case("arange", 5)
case("arange", 1, 9, 2)
case("arange", 0.5, 3)
case("arange", 5, dtype="float32")
case("arange", 7, 1, -2)
case("linspace", 0, 1, 5)
case("linspace", 0.0, 10.0, 4, endpoint=False)
case("linspace", np.zeros(3, "float32"), np.ones(3, "float32"), 5, axis=-1)
case("linspace", 0.0, 1.0, 5, retstep=True)
case("logspace", 0, 2, 5, tolerance=1e-5)
case("logspace", 0.0, 2.0, 4, base=2, endpoint=False, tolerance=1e-5)
case("geomspace", 1.0, 1000.0, 4, tolerance=1e-5)
case("eye", 3)
case("eye", 3, 5, 1)
case("eye", 4, 3, -1, dtype="int32")
case("identity", 3)
case("tri", 3, 5, 1)
case("tril", X)
case("tril", CUBE, 1)
case("triu", X, -1)
case("triu", whole(3, 5))
for name in ("hamming", "hanning", "blackman", "bartlett"):
    case(name, 7)
case("kaiser", 7, 3.0)
case("reshape", CUBE, (6, 5))
case("reshape", CUBE, (-1, 3))
case("expand_dims", X, 1)
case("expand_dims", X, (0, -1))
case("squeeze", floats(1, 3, 1))
case("squeeze", floats(1, 3, 1), 0)
case("squeeze", floats(1, 3, 1), (0, 2))
case("transpose", CUBE)
case("transpose", CUBE, (1, 2, 0))
case("moveaxis", CUBE, 0, -1)
case("moveaxis", CUBE, (0, 1), (2, 0))
case("swapaxes", CUBE, 0, -1)
case("broadcast_to", V, (3, 5))
case("concatenate", [X, floats(2, 5)])
case("concatenate", [X, whole(3, 2)], -1)
case("stack", [V, floats(5)], 1)
case("stack", [V, whole(5)])
for name in ("hstack", "vstack", "dstack"):
    case(name, [X, floats(3, 5)])
    case(name, [V, floats(5)])
case("append", X, floats(2, 5), 0)
case("append", X, V)
case("split", floats(6, 5), 3)
case("split", floats(3, 7), [2, 5], 1)
case("array_split", floats(7, 5), 3)
case("hsplit", floats(3, 6), 2)
case("vsplit", floats(6, 3), [1, 4])
case("dsplit", floats(2, 3, 6), 2)
case("unstack", X)
case("unstack", CUBE, axis=1)
case("flip", CUBE)
case("flip", CUBE, 1)
case("fliplr", CUBE)
case("flipud", CUBE)
for k in (1, 2, 3, -1):
    case("rot90", CUBE, k)
case("rot90", CUBE, 1, axes=(1, 2))
case("pad", X, 1)
case("pad", X, ((1, 2), (0, 3)))
case("pad", X, ((1, 2), (0, 3)), constant_values=2)
for mode in ("reflect", "symmetric"):
    case("pad", X, ((1, 2), (0, 3)), mode=mode)
case("repeat", X, 2)
case("repeat", X, 3, axis=1)
case("repeat", X, np.array([1, 0, 2], "int32"), axis=0)
case("tile", X, 2)
case("tile", X, (2, 3))
case("tile", X, (2, 1, 3))
case("roll", X, 2)
case("roll", X, -1, axis=1)
case("roll", X, (1, 2), axis=(0, 1))
case("take", X, whole(4, high=5), axis=1)
case("take", X, np.array([-1, 0], "int32"), axis=0)
case("take", X, whole(2, 3, high=15))
case("take", CUBE, 1, axis=1)
case("take_along_axis", CUBE, whole(2, 4, 5, high=3), axis=1)
case("take_along_axis", CUBE, whole(2, 3, 2, low=-5, high=5), axis=-1)
case("take_along_axis", X, whole(4, high=15))
case("get_item", CUBE, 1)
case("get_item", CUBE, (slice(None), slice(0, 3, 2), -1))
case("get_item", CUBE, (..., None, 2))
case("get_item", CUBE, np.array([1, 0, 1], "int32"))
case("get_item", CUBE, (slice(None), np.array([1, 0, 2, 1], "int32")))
case("get_item", CUBE, (np.array([1, 0]), np.array([2, 1])))
case("diag", V)
case("diag", V, 2)
case("diag", V, -1)
case("diag", X)
case("diag", X, 1)
case("diag", X, -1)
case("diagflat", X)
case("diagflat", V, 1)
case("diagonal", X)
case("diagonal", CUBE, 1, 1, 2)
case("diagonal", CUBE, -1, 0, 2)
case("trace", X)
case("trace", CUBE, 1, 1, 2)
case("trace", whole(3, 5))
case("meshgrid", V, W)
case("meshgrid", V, W, floats(2), indexing="ij")
case("meshgrid", V, W, floats(2))
case("unravel_index", whole(4, high=30), (2, 3, 5))
case("vander", V)
case("vander", V, 3, True)
case("slice", CUBE, (0, 1, 2), (2, 2, 3))
case("slice", CUBE, np.array([0, 1, 9], "int32"), (2, 2, 3))
case("slice_update", CUBE, (0, 1, 2), floats(2, 2, 3))
case("slice_update", CUBE, np.array([0, 1, 9], "int32"), floats(2, 2, 3))
case("scatter", np.array([[0, 1], [2, 3], [0, 1]], "int32"), floats(3), (3, 5))
case("scatter", np.array([[1], [2], [1]], "int32"), floats(3, 5), (4, 5))
case("scatter_update", X, np.array([[0, 1], [2, 3]], "int32"), floats(2))
case("scatter_update", X, np.array([[2], [0]], "int32"), floats(2, 5))
for reduction in ("add", "max", "min", "mul"):
    case("scatter_update", X, np.array([[0, 1], [2, 3], [0, 1]], "int32"), floats(3), reduction=reduction)
case("one_hot", whole(3, high=4), 4)
case("one_hot", whole(3, 2, high=5), 4, axis=0)
case("one_hot", np.array([-1, 0, 4]), 4, axis=1, dtype="int32")
case("multi_hot", whole(3, 4, high=6), 6)
case("multi_hot", whole(4, high=6), 6)
case("rearrange", CUBE, "b h w -> h (b w)")
case("rearrange", floats(6, 5), "(a b) c -> a c b", a=2)
case("size", CUBE)
case("extract_sequences", floats(2, 9), 4, 2)

# ---- reductions

for name in ("sum", "prod", "mean", "max", "min", "amax", "amin", "var", "std", "any", "all", "count_nonzero", "ptp",
             "median"):  # fmt: skip
    dtypes = ("float32", "int32", "uint8") if name in ("ptp", "median", "max", "min", "amax", "amin") else DTYPES
    for dtype in dtypes:
        case(name, of(dtype, 2, 3, 5), tolerance=1e-5)
    case(name, CUBE, axis=1, tolerance=1e-5)
    if name != "median":
        case(name, CUBE, axis=(0, 2), tolerance=1e-5)
    if name != "count_nonzero":
        case(name, CUBE, axis=-1, keepdims=True, tolerance=1e-5)
case("max", CUBE, axis=1, initial=2.0)
case("min", CUBE, initial=-5.0)
case("prod", of("int8", 3, 5), axis=0, dtype="int32")
HOLES = np.where(GENERATOR.uniform(size=(2, 3, 5)) < 0.3, np.float32(np.nan), CUBE).astype("float32")
HOLES[1, 2] = np.nan
for name in ("nansum", "nanprod", "nanmean", "nanmax", "nanmin", "nanvar", "nanstd", "nanmedian"):
    case(name, HOLES, tolerance=1e-5)
    case(name, HOLES, axis=1, tolerance=1e-5)
    case(name, HOLES, axis=-1, keepdims=True, tolerance=1e-5)
    case(name, whole(3, 5), axis=0, tolerance=1e-5)
for name in ("nanargmax", "nanargmin"):
    case(name, HOLES)
    case(name, HOLES[0], axis=0)
for name in ("nancumsum", "nancumprod", "cumsum", "cumprod"):
    case(name, HOLES if name.startswith("nan") else CUBE, axis=1)
    case(name, HOLES if name.startswith("nan") else CUBE)
    case(name, whole(3, 5, high=3), axis=-1)
case("cumsum", of("bool", 3, 5), axis=0)
case("cumsum", of("int8", 3, 5), axis=0, dtype="float32")
for name in ("argmax", "argmin"):
    case(name, CUBE)
    case(name, CUBE, axis=1)
    case(name, whole(3, 5), axis=-1, keepdims=True)
    case(name, CUBE, keepdims=True)
    case(name, of("bool", 3, 5), axis=0)
for name in ("quantile", "percentile", "nanquantile", "nanpercentile"):
    scale = 100 if "percentile" in name else 1
    data = HOLES if name.startswith("nan") else CUBE
    case(name, data, 0.3 * scale, tolerance=1e-5)
    case(name, data, np.array([0.1, 0.5, 1.0], "float32") * scale, axis=1, tolerance=1e-5)
    case(name, data, 0.5 * scale, axis=-1, keepdims=True, tolerance=1e-5)
    for method in ("lower", "higher", "nearest", "midpoint"):
        case(name, data, 0.37 * scale, axis=1, method=method, tolerance=1e-5)
case("average", X)
case("average", X, axis=1, weights=floats(5, low=0.1))
case("average", X, axis=0, weights=floats(3, low=0.1))
case("average", whole(3, 5), weights=floats(3, 5, low=0.1))
case("logsumexp", CUBE)
case("logsumexp", CUBE, axis=1, keepdims=True)
case("bincount", whole(9, high=5))
case("bincount", whole(9, high=5), minlength=8)
case("bincount", whole(9, high=5), weights=floats(9), minlength=8)
case("bincount", whole(2, 9, high=5), minlength=8)
case("histogram", floats(30))
case("histogram", floats(30), 5, range=(-1.0, 1.0))
case("digitize", X, np.array([-1.0, 0, 1, 2], "float32"))
case("digitize", whole(3, 5), np.array([1, 3, 5], "int32"))
case("searchsorted", np.array([1, 3, 3, 5, 9], "float32"), np.array([[0, 3], [4, 10]], "float32"))
case("searchsorted", np.array([1, 3, 3, 5, 9], "float32"), np.array([3, 9], "float32"), side="right")
case("diff", CUBE)
case("diff", CUBE, 2, axis=1)
case("trapezoid", X)
case("trapezoid", X, dx=0.5, axis=0)
case("trapezoid", X, x=np.sort(floats(5)))
case("corrcoef", X, tolerance=1e-5)
for mode in ("valid", "same", "full"):
    case("correlate", floats(7), floats(3), mode=mode, tolerance=1e-5)
for name in ("segment_sum", "segment_max", "segment_min", "segment_prod"):
    case(name, floats(6, 2), np.array([0, 2, 2, 0, 3, 2], "int32"), num_segments=5)
    case(name, whole(6), np.array([0, 1, 1, 1, 2, 2], "int32"), num_segments=3, sorted=True)
case("in_top_k", np.array([1, 0, 3]), floats(3, 5), 2)
case("top_k", X, 2)
case("top_k", whole(3, 5), 3)
case("sort", CUBE)
case("sort", CUBE, axis=1)
case("sort", whole(3, 5))
case("sort", np.array([3, np.nan, -1, np.inf, -np.inf, 0], "float32"))
case("argsort", CUBE)
case("argsort", whole(3, 9, high=4), axis=-1)
case("argsort", CUBE, axis=None)
case("unique", whole(9, high=5))
case("unique", whole(9, high=5), return_inverse=True, return_counts=True, return_index=True)
case("nonzero", whole(3, 5, high=2))

# ---- products

for dims in (((3, 5), (5, 7)), ((2, 3, 5), (5, 7)), ((5,), (5, 7)), ((3, 5), (5,)), ((5,), (5,))):
    case("matmul", *(floats(*size) for size in dims), tolerance=1e-5)
case("matmul", whole(3, 5), whole(5, 7))
case("matmul", whole(3, 5, dtype="int8"), whole(5, 7, dtype="int8"))
case("matmul", whole(3, 5), Y, tolerance=1e-5)
case("dot", CUBE, Y, tolerance=1e-5)
case("dot", CUBE, floats(4, 5, 7), tolerance=1e-5)
case("dot", 2.0, X)
case("tensordot", CUBE, floats(3, 5, 4), axes=2, tolerance=1e-5)
case("tensordot", CUBE, floats(5, 2, 4), axes=((0, 2), (1, 0)), tolerance=1e-5)
case("tensordot", V, W, axes=0)
case("outer", V, W)
case("inner", X, floats(4, 5), tolerance=1e-5)
case("vdot", X, floats(3, 5), tolerance=1e-5)
case("cross", floats(4, 3), floats(4, 3))
case("cross", floats(4, 2), floats(4, 2))
case("cross", floats(4, 2), floats(4, 3))
case("cross", floats(3, 4), floats(3, 4), axis=0)
case("kron", floats(2, 3), floats(4, 5))
case("kron", V, W)
for spec, shapes in (
    ("ij,jk->ik", ((3, 5), (5, 7))), ("ij,jk", ((3, 5), (5, 7))), ("ij->ji", ((3, 5),)), ("ij->", ((3, 5),)),
    ("ii->i", ((5, 5),)), ("ii", ((5, 5),)), ("bij,bjk->bik", ((2, 3, 5), (2, 5, 7))), ("i,j->ij", ((3,), (5,))),
    ("...ij,...jk->...ik", ((2, 3, 5), (2, 5, 7))), ("...ij,jk->...ik", ((2, 4, 3, 5), (5, 7))),
    ("ij,ij->i", ((3, 5), (3, 5))), ("ij,jk,kl->il", ((3, 5), (5, 7), (7, 2))), ("i...->...", ((3, 5),)),
    ("abc,cd,def->abef", ((2, 3, 4), (4, 5), (5, 6, 7))), ("bhqd,bhkd->bhqk", ((2, 3, 4, 5), (2, 3, 7, 5))),
    ("a b, b -> a", ((3, 5), (5,))), ("iij->j", ((3, 3, 5),)), ("ij,kj", ((3, 5), (2, 5))),
    ("...a,...a->...", ((2, 3, 5), (3, 5))),
):  # fmt: skip
    case("einsum", spec, *(floats(*dims) for dims in shapes), tolerance=1e-5)
case("cdist", floats(3, 5), floats(4, 5), tolerance=1e-5)

# ---- matrices

S = floats(2, 4, 4) + 3 * np.eye(4, dtype="float32")
P = np.asarray(S @ np.swapaxes(S, -1, -2), "float32")
case("det", S, tolerance=1e-4)
case("inv", S, tolerance=1e-4)
case("solve", S, floats(2, 4, 3), tolerance=1e-4)
case("solve", S[0], floats(4), tolerance=1e-4)
case("solve_triangular", S, floats(2, 4, 3), lower=True, tolerance=1e-4)
case("solve_triangular", S[0], floats(4, 3), tolerance=1e-4)
case("cholesky", P, tolerance=1e-4)
case("cholesky", P, upper=True, tolerance=1e-4)
case("cholesky_inverse", np.tril(S[0]), tolerance=1e-3)
case("cholesky_inverse", np.triu(S[0]), upper=True, tolerance=1e-3)
case("qr", floats(5, 3), tolerance=1e-5)
case("qr", floats(2, 3, 5), tolerance=1e-5)
case("qr", floats(5, 3), mode="complete", tolerance=1e-5)
case("slogdet", S, tolerance=1e-5)
case("logdet", S, tolerance=1e-5)
case("lu_factor", S[0], tolerance=1e-5)
case("eigh", P[0], tolerance=1e-3)
case("svd", X, compute_uv=False, tolerance=1e-5)
case("lstsq", floats(7, 3), floats(7, 2), tolerance=1e-4)
case("pinv", X, tolerance=1e-4)
case("matrix_rank", X)
for ord in (None, 1, 2, 3, 0, math.inf, -math.inf):
    case("norm", X, ord, axis=1, tolerance=1e-5)
for order in (None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
    case("norm", CUBE, order, axis=(1, 2), tolerance=1e-5)
    case("norm", CUBE, order, axis=(2, 0), keepdims=True, tolerance=1e-5)
case("norm", CUBE, tolerance=1e-5)
