"""Vector math against numpy and libm: error bounds in ulp, special values, equal bits for every lane count."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from codegen import vecmath
from codegen.assembly import Assembly
from codegen.jit import LoadedCode, assembly, compile_object
from codegen.target import Target, host_target, named_target
from codegen.vector import REGISTRY, constant, iota, llvm_type, splat
from graphc.ir.nest import ARITY, PREDICATES

Array = np.ndarray[Any, Any]
Body = Callable[[Assembly, list[str], int], str]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow and NaN are the subject here

HOST = host_target()
LANES = (1, 4, 8, 16)
SIGNED, UNSIGNED = ("i8", "i16", "i32", "i64"), ("u8", "u16", "u32", "u64")
INTEGERS = SIGNED + UNSIGNED
NUMPY = {"f32": "f4", "f64": "f8", "bool": "?"} | {name: f"{name[0]}{int(name[1:]) // 8}" for name in INTEGERS}
FLOATS = ("f32", "f64")


# A kernel out[i] = body(in0[i], in1[i], ...) for each lane count, in one library


def write_kernel(asm: Assembly, name: str, body: Body, dtypes: Sequence[str], result: str, lanes: int) -> None:
    pointers = [("ptr", f"p{i}") for i in range(len(dtypes) + 1)]
    asm.begin_function(name, [*pointers, ("i64", "n")])
    loop = asm.loop_begin(0, "%n", lanes, may_be_empty=True)
    *sources, out = [
        asm.op(f"getelementptr {memory_type(dtype)}, ptr %p{i}, i64 {loop.index}")
        for i, dtype in enumerate([*dtypes, result])
    ]
    values = [read(asm, source, dtype, lanes) for source, dtype in zip(sources, dtypes, strict=True)]
    write(asm, body(asm, values, lanes), out, result, lanes)
    asm.loop_end(loop)
    asm.line("ret void")
    asm.end_function()


def memory_type(dtype: str, lanes: int = 1) -> str:
    return llvm_type("u8" if dtype == "bool" else dtype, lanes)


def read(asm: Assembly, pointer: str, dtype: str, lanes: int) -> str:
    value = asm.op(f"load {memory_type(dtype, lanes)}, ptr {pointer}, align 1")
    if dtype != "bool":
        return value
    return vecmath.apply(asm, "ne", [value, constant("u8", lanes, 0)], "u8", lanes, target=HOST)


def write(asm: Assembly, value: str, pointer: str, dtype: str, lanes: int) -> None:
    if dtype == "bool":
        value = vecmath.apply(asm, "cast", [value], "bool", lanes, target=HOST, to="u8")
    asm.line(f"store {memory_type(dtype, lanes)} {value}, ptr {pointer}, align 1")


def run(
    body: Body, dtypes: Sequence[str], result: str, arrays: Sequence[Any], lane_counts: Sequence[int] = LANES
) -> list[Array]:
    """The kernel's result for each lane count; arrays are repeated up to whole vectors."""
    asm = Assembly()
    for lanes in lane_counts:
        write_kernel(asm, f"k{lanes}", body, dtypes, result, lanes)
    count = len(arrays[0])
    padded = -(-count // 16) * 16
    sources = [np.resize(np.asarray(a, NUMPY[dtype]), padded) for a, dtype in zip(arrays, dtypes, strict=True)]
    results = []
    with LoadedCode([compile_object(asm.text(), HOST)], HOST) as library:
        for lanes in lane_counts:
            out = np.zeros(padded, NUMPY[result])
            signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(dtypes) + 1), ctypes.c_int64)
            signature(library.address(f"k{lanes}"))(*[a.ctypes.data for a in (*sources, out)], padded)
            results.append(out[:count])
    return results


def operands(fn: str, dtype: str) -> list[str]:
    return ["bool", dtype, dtype] if fn == "select" else [dtype] * ARITY[fn]


def kind_body(fn: str, dtype: str, to: str | None = None, target: Target = HOST) -> Body:
    return lambda asm, args, lanes: vecmath.apply(asm, fn, args, dtype, lanes, target=target, to=to)


def evaluate(fn: str, dtype: str, *arrays: Any, to: str | None = None) -> Array:
    """The kind on arrays: the one answer that all lane counts agree on, bit for bit (NaN being any NaN)."""
    result = to or ("bool" if fn in PREDICATES else dtype)
    first, *others = run(kind_body(fn, dtype, to), operands(fn, dtype), result, arrays)
    for lanes, other in zip(LANES[1:], others, strict=True):
        np.testing.assert_array_equal(first, other, err_msg=f"{fn} {dtype}: 1 lane and {lanes} lanes differ")
    return first


def assembly_of(fn: str, dtype: str, lanes: int, target: Target) -> str:
    asm = Assembly()
    result = "bool" if fn in PREDICATES else dtype
    write_kernel(asm, "k", kind_body(fn, dtype, target=target), operands(fn, dtype), result, lanes)
    return assembly(asm.text(), target)


# Error in units of the last place


def ulp_errors(got: Array, exact: Array) -> Array:
    """|got - exact| in ulps of exact, denormals included; infinities and NaN must be those of exact."""
    rounded = exact.astype(got.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    spacing = np.spacing(np.abs(rounded[finite])).astype(exact.dtype)
    return np.asarray(np.abs(got[finite].astype(exact.dtype) - exact[finite]) / spacing)


def assert_within(bound: float, got: Array, exact: Array, what: str, *arguments: Array) -> None:
    errors = ulp_errors(got, exact)
    finite = np.flatnonzero(np.isfinite(exact.astype(got.dtype)))
    worst = finite[np.argmax(errors)]
    at = [float(a[worst]) for a in arguments]
    assert errors.max() <= bound, f"{what}{at}: {errors.max():.2f} ulp, got {got[worst]}, exact {exact[worst]}"


SPECIALS = [
    0.0, -0.0, math.inf, -math.inf, math.nan, 1, -1, 0.5, -0.5, 2, 1e-40, -1e-40, 5e-324, 1.5e-45, 1.1754944e-38, 3e38,
    -3e38, 1.7e308, 88.72, 88.73, -87.3, -103.9, -104.1, 709.78, 709.79, -745.1, -745.2, 1 - 2**-24, 1 + 2**-23, 2**-13,
]  # fmt: skip


def points(rng: np.random.Generator, dtype: str, count: int) -> Array:
    """Arbitrary bit patterns (every exponent, NaN, denormals), the usual ranges, numbers near 1, and SPECIALS."""
    width = int(dtype[1:])
    parts = [
        rng.integers(0, 2**width, count // 4, dtype=f"u{width // 8}").view(NUMPY[dtype]),
        rng.uniform(-1, 1, count // 4),
        rng.normal(0, 4, count // 4),
        rng.uniform(-110, 110, count // 8),
        rng.uniform(-800, 800, count // 16),
        rng.normal(1, 1e-3, count // 16),
        SPECIALS,
    ]
    return np.concatenate([np.asarray(part).astype(NUMPY[dtype]) for part in parts])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


UNARY: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "sqrt": (np.sqrt, 0.5, 0.5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5, 1.5),
    "reciprocal": (lambda x: 1 / x, 0.5, 0.5),
    "square": (np.square, 0.5, 0.5),
    "exp": (np.exp, 1, 1),
    "expm1": (np.expm1, 1.5, 2),
    "log": (np.log, 1, 1),
    "log1p": (np.log1p, 1.5, 1.5),
    "log2": (np.log2, 2, 2),
    "log10": (np.log10, 2, 3),
    "sin": (np.sin, 1.6, 2),
    "cos": (np.cos, 1.6, 2),
    "tan": (np.tan, 3, 3),
    "asin": (np.arcsin, 2.5, 2.5),
    "acos": (np.arccos, 1.5, 1.5),
    "atan": (np.arctan, 2, 2),
    "sinh": (np.sinh, 2, 2),
    "cosh": (np.cosh, 2, 2),
    "tanh": (np.tanh, 1.5, 3),
    "asinh": (np.arcsinh, 2, 2),
    "acosh": (np.arccosh, 2.5, 2.5),
    "atanh": (np.arctanh, 2, 2),
    "sigmoid": (sigmoid, 2.5, 2.5),
    "softplus": (softplus, 2, 2),
}
"""Kind -> reference, bound in ulp for f32 and for f64."""

WIDE = np.longdouble
REFERENCE_SLACK = 0.0 if np.finfo(WIDE).eps < np.finfo("f8").eps else 1.0
"""Where long double is double, the f64 reference is itself off by up to an ulp."""


@pytest.mark.parametrize("fn", UNARY)
def test_unary_f32(fn: str, rng: np.random.Generator) -> None:
    reference, bound, _ = UNARY[fn]
    x = points(rng, "f32", 1 << 19)
    exact = reference(x.astype("f8"))
    assert_within(bound, evaluate(fn, "f32", x), exact, fn, x)


@pytest.mark.parametrize("fn", UNARY)
def test_unary_f64(fn: str, rng: np.random.Generator) -> None:
    reference, _, bound = UNARY[fn]
    x = points(rng, "f64", 1 << 16)
    if fn in ("sin", "cos", "tan"):
        x = x[~(np.abs(x) > 1e6) | np.isinf(x)]
    exact = reference(x.astype(WIDE))
    assert_within(bound + REFERENCE_SLACK, evaluate(fn, "f64", x), exact, fn, x)


def test_huge_arguments_of_f32_sine_are_reduced_exactly(rng: np.random.Generator) -> None:
    x = (rng.uniform(1, 2, 4096) * 2.0 ** rng.integers(20, 128, 4096)).astype("f4")
    for fn, reference in (("sin", np.sin), ("cos", np.cos)):
        assert_within(1.6, evaluate(fn, "f32", x), reference(x.astype("f8")), fn, x)


def test_huge_arguments_of_f64_sine_are_nan() -> None:
    assert np.isnan(evaluate("sin", "f64", [2.0**51, -1e300])).all()


@pytest.mark.parametrize(("dtype", "bound"), [("f32", 1.1), ("f64", 4.5)])
def test_erf(dtype: str, bound: float, rng: np.random.Generator) -> None:
    x = points(rng, dtype, 1 << 17)
    exact = np.array([math.erf(v) for v in x.tolist()])
    assert_within(bound, evaluate("erf", dtype, x), exact, "erf", x)


def test_erfinv_f32(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.uniform(-1, 1, 20000), 1 - np.exp(rng.uniform(-16, 0, 5000)), rng.normal(0, 1e-6, 100)])
    x = x.astype("f4")
    x = x[np.abs(x) < 1]
    assert_within(3, evaluate("erfinv", "f32", x), inverse_of_erf(x.astype("f8")), "erfinv", x)


def test_erfinv_f64(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.uniform(-1, 1, 20000), 1 - np.exp(rng.uniform(-36, 0, 5000)), rng.normal(0, 1e-6, 100)])
    x = x[np.abs(x) < 1]
    assert_within(6, evaluate("erfinv", "f64", x), inverse_of_erf(x), "erfinv", x)  # the reference is good to 2 ulp


def inverse_of_erf(x: Array) -> Array:
    """Newton's method on libm's erf, or erfc in the tails, from a crude start."""
    target = np.abs(x)
    y = np.sqrt(-np.log1p(-target))
    erf, erfc = np.vectorize(math.erf, otypes="d"), np.vectorize(math.erfc, otypes="d")
    for _ in range(60):
        error = np.where(target < 0.5, erf(y) - target, (1 - target) - erfc(y))
        y = y - np.clip(error * math.sqrt(math.pi) / 2 * np.exp(y * y), -0.3, 0.3)
    return np.copysign(y, x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_erfinv_ends(dtype: str) -> None:
    got = evaluate("erfinv", dtype, [1, -1, 1.5, -2, math.inf, -math.inf, math.nan, 0])
    np.testing.assert_array_equal(got, [math.inf, -math.inf, *[math.nan] * 5, 0])


def test_pow_f32(rng: np.random.Generator) -> None:
    x = np.concatenate([points(rng, "f32", 1 << 16), rng.uniform(-4, 4, 1 << 16), rng.normal(1, 1e-3, 1 << 14)]).astype(
        "f4"
    )
    y = np.concatenate([rng.permutation(points(rng, "f32", 1 << 16)), rng.normal(0, 20, 5 << 14).round()]).astype("f4")
    exact = np.power(x.astype("f8"), y.astype("f8"))
    assert_within(0.51, evaluate("pow", "f32", x, y), exact, "pow", x, y)


def test_pow_f64(rng: np.random.Generator) -> None:
    x = np.concatenate([np.exp(rng.uniform(-700, 700, 20000)), rng.uniform(0, 3, 20000), rng.normal(1, 1e-4, 20000)])
    y = np.concatenate([rng.uniform(-1, 1, 20000), rng.normal(0, 20, 20000), rng.normal(0, 1e6, 20000)])
    exact = np.power(x.astype(WIDE), y.astype(WIDE))
    got = evaluate("pow", "f64", x, y)
    normal = (np.abs(exact) > 1e-300) & (np.abs(exact) < 1e308)
    assert_within(1.5 + REFERENCE_SLACK, got[normal], exact[normal], "pow", x[normal], y[normal])
    np.testing.assert_allclose(got, exact.astype("f8"), rtol=1e-14, atol=1e-320)


CORNERS = [
    0.0,
    -0.0,
    1,
    -1,
    1.5,
    2,
    3,
    -2,
    -3,
    -2.5,
    math.inf,
    -math.inf,
    math.nan,
    1e-40,
    3e38,
    0.5,
    -0.5,
    2.0**53 + 2,
]


def pairs(values: Sequence[float], dtype: str) -> tuple[Array, Array]:
    each = np.asarray(values).astype(NUMPY[dtype])
    return np.repeat(each, len(each)), np.tile(each, len(each))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("fn", "reference"), [("pow", np.power), ("atan2", np.arctan2)])
def test_corners_of_float_functions(fn: str, reference: Callable[..., Array], dtype: str) -> None:
    a, b = pairs(CORNERS, dtype)
    wanted = reference(a, b)
    got = evaluate(fn, dtype, a, b)
    np.testing.assert_allclose(got, wanted, rtol=1e-6 if dtype == "f32" else 1e-14)
    number = ~np.isnan(got)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(wanted[number]))


@pytest.mark.parametrize("dtype", FLOATS)
def test_atan2(dtype: str, rng: np.random.Generator) -> None:
    y, x = points(rng, dtype, 1 << 16), rng.permutation(points(rng, dtype, 1 << 16))
    exact = np.arctan2(y.astype(WIDE), x.astype(WIDE))
    assert_within(2.5 + REFERENCE_SLACK, evaluate("atan2", dtype, y, x), exact, "atan2", y, x)


# Exact kinds

FLOAT_UNARY = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.rint,
    "trunc": np.trunc, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
}  # fmt: skip
COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
FLOAT_BINARY = COMPARISONS | {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
    "mod": np.mod, "floor_div": np.floor_divide,
}  # fmt: skip
INTEGER_BINARY = COMPARISONS | {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "mod": np.mod,
    "floor_div": np.floor_divide, "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
    "shl": np.left_shift, "shr": np.right_shift,
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fn", FLOAT_UNARY)
def test_exact_float_unary(fn: str, dtype: str) -> None:
    x = np.array([*SPECIALS, 1.5, 2.5, -2.5, -1.5, 0.49999997, 8388609, -7.75, 1e30]).astype(NUMPY[dtype])
    np.testing.assert_array_equal(evaluate(fn, dtype, x), FLOAT_UNARY[fn](x), fn)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fn", FLOAT_BINARY)
def test_exact_float_binary(fn: str, dtype: str, rng: np.random.Generator) -> None:
    a, b = pairs([*CORNERS, 7, -7, 1e30, 123456.7], dtype)
    a = np.concatenate([a, rng.normal(0, 1000, 1000).astype(a.dtype)])
    b = np.concatenate([b, rng.normal(0, 3, 1000).astype(b.dtype)])
    np.testing.assert_array_equal(evaluate(fn, dtype, a, b), FLOAT_BINARY[fn](a, b), fn)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("fn", INTEGER_BINARY)
def test_integer_binary(fn: str, dtype: str) -> None:
    """Wrapping like numpy; division by zero gives 0 and MIN / -1 does not trap; shifts beyond the width are defined."""
    limits = np.iinfo(NUMPY[dtype])
    values = [0, 1, 2, 3, 7, 8, 31, 63, limits.max, limits.max - 1, limits.min, limits.min + 1]
    each = np.array(values + ([-1, -2, -7] if limits.min else []), NUMPY[dtype])
    a, b = np.repeat(each, len(each)), np.tile(each, len(each))
    if fn in ("shl", "shr"):
        a, b = a[b >= 0], b[b >= 0]
    np.testing.assert_array_equal(evaluate(fn, dtype, a, b), INTEGER_BINARY[fn](a, b), fn)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_truncates(dtype: str) -> None:
    limits = np.iinfo(NUMPY[dtype])
    a = [7, 100, 5, limits.min, limits.min, *([-7, 7, -7, limits.min] if limits.min else [])]
    b = [2, 7, 0, 1, 0, *([2, -2, -2, -1] if limits.min else [])]
    wanted = [3, 14, 0, limits.min, 0, *([-3, -3, 3, limits.min] if limits.min else [])]
    np.testing.assert_array_equal(evaluate("div", dtype, a, b), np.array(wanted, NUMPY[dtype]))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_unary(dtype: str) -> None:
    limits = np.iinfo(NUMPY[dtype])
    x = np.array([0, 1, 5, limits.max, limits.min, limits.min + 1], NUMPY[dtype])
    unary = {"neg": np.negative, "abs": np.abs, "sign": np.sign, "square": np.square, "bit_not": np.invert}
    for fn, reference in unary.items():
        np.testing.assert_array_equal(evaluate(fn, dtype, x), reference(x), fn)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_pow(dtype: str) -> None:
    x = np.array([0, 0, 1, 2, 3, 5, 7, 250 % 127, 2], NUMPY[dtype])
    y = np.array([0, 3, 9, 6, 4, 3, 0, 1, 63], NUMPY[dtype])
    np.testing.assert_array_equal(evaluate("pow", dtype, x, y), x**y, "pow")


def test_logic() -> None:
    a, b = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    binary = {
        "logical_and": a & b, "logical_or": a | b, "logical_xor": a ^ b, "max": a | b, "min": a & b, "add": a | b,
        "mul": a & b, "eq": a == b, "ne": a != b, "lt": a < b, "ge": a >= b,
    }  # fmt: skip
    for fn, wanted in binary.items():
        np.testing.assert_array_equal(run(kind_body(fn, "bool"), ["bool", "bool"], "bool", [a, b])[3], wanted, fn)
    np.testing.assert_array_equal(evaluate("logical_not", "bool", a), ~a)


@pytest.mark.parametrize("dtype", ["f32", "f64", "u8", "i64", "bool"])
def test_select(dtype: str) -> None:
    mask = np.array([1, 0, 0, 1, 1], bool)
    a, b = np.arange(5).astype(NUMPY[dtype]), np.arange(5, 10).astype(NUMPY[dtype])
    np.testing.assert_array_equal(evaluate("select", dtype, mask, a, b), np.where(mask, a, b))


@pytest.mark.parametrize("source", NUMPY)
@pytest.mark.parametrize("to", NUMPY)
def test_cast_is_astype(source: str, to: str) -> None:
    values = np.array([0, 1, 2, 100, 127, 3, *([-1, -128, -7] if source[0] in "fi" and to[0] in "fi" else [])])
    x = values.astype(NUMPY[source])
    if source in FLOATS:
        x = np.concatenate([x, np.array([0.25, 2.75, 99.9], x.dtype)])
    elif source in INTEGERS and to in INTEGERS:
        x = np.concatenate([x, np.array([np.iinfo(x.dtype).max, np.iinfo(x.dtype).min], x.dtype)])
    np.testing.assert_array_equal(evaluate("cast", source, x, to=to), x.astype(NUMPY[to]))


def test_cast_beyond_the_range_saturates() -> None:
    x = [math.inf, -math.inf, math.nan, 1e30, -1e30, -1.5, 300.7]
    assert evaluate("cast", "f32", x, to="i32").tolist() == [2**31 - 1, -(2**31), 0, 2**31 - 1, -(2**31), -1, 300]
    assert evaluate("cast", "f64", x, to="u8").tolist() == [255, 0, 0, 255, 0, 0, 255]
    assert evaluate("cast", "f32", x, to="bool").all()


def test_bitcast() -> None:
    x = np.array([1.0, -0.0, math.inf, 1e-40], "f4")
    np.testing.assert_array_equal(evaluate("bitcast", "f32", x, to="u32"), x.view("u4"))
    np.testing.assert_array_equal(evaluate("bitcast", "u64", x.astype("f8").view("u8"), to="f64"), x.astype("f8"))


def test_max_with_a_constant_is_one_instruction_and_keeps_nan() -> None:
    """relu: the constant on either side, NaN of x kept, NaN as the constant kept."""

    def against(fn: str, value: float, constant_first: bool) -> Body:
        def body(asm: Assembly, args: list[str], lanes: int) -> str:
            both = [args[0], constant("f32", lanes, value)]
            return vecmath.apply(asm, fn, both[::-1] if constant_first else both, "f32", lanes, target=HOST)

        return body

    x = np.array([1, -1, math.nan, math.inf, -math.inf], "f4")
    for fn, reference in (("max", np.maximum), ("min", np.minimum)):
        for value in (0.0, 6.0, math.nan):
            for constant_first in (False, True):
                for got in run(against(fn, value, constant_first), ["f32"], "f32", [x]):
                    np.testing.assert_array_equal(got, reference(x, np.float32(value)))
    asm, target = Assembly(), named_target("x86-64-v4")
    write_kernel(asm, "relu", against("max", 0.0, False), ["f32"], "f32", 16)
    listing = assembly(asm.text(), target)
    assert listing.count("vmaxps") == 1
    assert not re.search("vcmp|vblend|vmovaps.*%k", listing)


def test_multiply_feeding_an_add_is_fused() -> None:
    def body(asm: Assembly, args: list[str], lanes: int) -> str:
        product = vecmath.apply(asm, "mul", args[:2], "f32", lanes, target=HOST)
        return vecmath.apply(asm, "add", [product, args[2]], "f32", lanes, target=HOST)

    asm = Assembly()
    write_kernel(asm, "k", body, ["f32"] * 3, "f32", 8)
    listing = assembly(asm.text(), named_target("x86-64-v3"))
    assert re.search(r"vfmadd\d+ps", listing)
    assert "vmulps" not in listing


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "neoverse-v1"])
def test_no_kind_calls_a_library(target: str) -> None:
    machine = named_target(target)
    for fn in ARITY.keys() - {"cast", "bitcast"}:
        for dtype in ("f32", "f64", "i32"):
            if (fn, dtype) in vecmath.INSTRUCTIONS or (fn in REGISTRY and dtype in REGISTRY[fn].dtypes):
                called = re.search(r"^\t(call|bl)\b.*", assembly_of(fn, dtype, 8, machine), re.MULTILINE)
                assert called is None, f"{fn} {dtype} on {target}: {called}"


# Random bits, lanes, constants

KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]
"""Key, counter, words: the threefry2x32 lines (20 rounds) of Random123's kat_vectors."""


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN_ANSWERS)
def test_threefry_known_answers(key: tuple[int, int], counter: tuple[int, int], words: tuple[int, int]) -> None:
    columns = [np.full(3, word, "u4") for word in (*key, *counter)]

    def word(which: int) -> Body:
        return lambda asm, args, lanes: vecmath.threefry2x32(
            asm, args[0], args[1], args[2], args[3], lanes, target=HOST
        )[which]

    for which in (0, 1):
        for got in run(word(which), ["u32"] * 4, "u32", columns):
            assert got.tolist() == [words[which]] * 3
    assert evaluate("threefry", "u32", *columns).tolist() == [words[0] ^ words[1]] * 3


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "u8"])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_reduce_lanes_is_a_halving_tree(dtype: str, lanes: int, rng: np.random.Generator) -> None:
    x = rng.uniform(0, 100, lanes).astype(NUMPY[dtype])
    for combine, reference in (("add", np.add), ("mul", np.multiply), ("max", np.maximum), ("min", np.minimum)):
        tree = x
        while len(tree) > 1:
            tree = reference(tree[: len(tree) // 2], tree[len(tree) // 2 :])
        assert reduced(combine, x, dtype)[0] == tree[0], combine


def test_reduce_lanes_of_bool() -> None:
    for values in ([0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]):
        x = np.array(values, bool)
        assert [bool(reduced(fn, x, "bool")[0]) for fn in ("logical_or", "logical_and")] == [x.any(), x.all()]


def reduced(combine: str, x: Array, dtype: str) -> Array:
    def body(asm: Assembly, args: list[str], lanes: int) -> str:
        return splat(asm, vecmath.reduce_lanes(asm, combine, args[0], dtype, lanes, target=HOST), dtype, lanes)

    return run(body, [dtype], dtype, [np.resize(x, 16 * len(x))], [len(x)])[0]


def test_iota() -> None:
    def body(asm: Assembly, args: list[str], lanes: int) -> str:
        return vecmath.apply(asm, "add", [args[0], iota("i32", lanes)], "i32", lanes, target=HOST)

    for lanes, got in zip(LANES, run(body, ["i32"], "i32", [np.zeros(32)]), strict=True):
        assert got.tolist() == [i % lanes for i in range(32)]


def test_constants_are_exact() -> None:
    assert constant("f32", 1, 0.1) == f"0x{np.float64(np.float32(0.1)).view('u8'):016X}"
    assert constant("f64", 4, -0.0) == "splat (double 0x8000000000000000)"
    assert constant("f32", 1, 0) == "0x0000000000000000"
    assert constant("f32", 1, 1e39) == constant("f32", 1, math.inf) == "0x7FF0000000000000"
    assert constant("f32", 1, math.nan) == "0x7FF8000000000000"
    assert constant("u8", 1, 255) == "-1"
    assert constant("u64", 16, 2**64 - 1) == "splat (i64 -1)"
    assert constant("bool", 1, True) == "true"


def test_kinds_are_those_of_the_nest_language() -> None:
    assert dict(vecmath.KINDS) == ARITY


def test_unsupported_kinds_say_what_is_supported() -> None:
    asm = Assembly()
    with pytest.raises(TypeError, match=r"no kernel arithmetic for exp of i32; exp takes f32, f64"):
        vecmath.apply(asm, "exp", ["%x"], "i32", 4, target=HOST)
    with pytest.raises(TypeError, match=r"known kinds: abs, acos"):
        vecmath.apply(asm, "frobnicate", ["%x"], "f32", 4, target=HOST)


# The writer


@pytest.mark.parametrize("count", [0, 1, 5])
def test_loops_carry_values_and_may_be_empty(count: int) -> None:
    """sum over i < n of sum over j < 3 of i * j, by two nested loops with one accumulator each."""
    asm = Assembly()
    asm.begin_function("k", [("i64", "n")], "i64")
    outer = asm.loop_begin(0, "%n", 1, [("i64", "0")], may_be_empty=True)
    inner = asm.loop_begin(0, 3, 1, [("i64", outer.carried[0])])
    product = asm.op(f"mul i64 {outer.index}, {inner.index}")
    (total,) = asm.loop_end(inner, [asm.op(f"add i64 {inner.carried[0]}, {product}")])
    (total,) = asm.loop_end(outer, [total])
    asm.line(f"ret i64 {total}")
    asm.end_function()
    with LoadedCode([compile_object(asm.text(), HOST)], HOST) as library:
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("k"))
        assert function(count) == sum(i * j for i in range(count) for j in range(3))


def test_declarations_are_written_once_and_not_for_defined_functions() -> None:
    asm = Assembly()
    asm.begin_function("half", [("double", "x")], "double", linkage="internal", attributes="nounwind")
    asm.line(f"ret double {asm.op('fmul double %x, 0.5')}")
    asm.end_function()
    asm.begin_function("k", [("double", "x")], "double")
    value = asm.call("double", "half", [("double", "%x")])
    value = asm.call("double", "llvm.sqrt.f64", [("double", value)])
    value = asm.call("double", "llvm.sqrt.f64", [("double", value)])
    asm.line(f"ret double {value}")
    asm.end_function()
    assert [line for line in asm.text().splitlines() if line.startswith("declare")] == [
        "declare double @llvm.sqrt.f64(double)"
    ]
    with LoadedCode([compile_object(asm.text(), HOST)], HOST) as library:
        assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("k"))(32.0) == 2.0
