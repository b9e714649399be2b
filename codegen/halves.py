"""Half types: two bytes in memory, f32 in registers. Arithmetic is f32's; results are rounded, ties to even."""

from __future__ import annotations

from dataclasses import replace

from codegen.assembly import Assembly
from codegen.vector import llvm_type
from graphc.ir.nest import Apply, Expr, Load, Nest, cast, rewrite
from graphc.ir.op import Node
from graphc.ir.types import DType


def memory_type(dtype: DType) -> str:
    """LLVM's type of one element in memory."""
    return "i8" if dtype is DType.BOOL else "i16" if dtype.is_half else llvm_type(dtype.value)


def computed_nests(node: Node) -> tuple[Nest, ...]:
    """The node's nests with arithmetic in f32 for half types; what a map gives is rounded to the type of the result."""
    nests = node.op.nest(*(value.type.with_dtype(value.dtype.computed) for value in node.inputs))
    if not any(type.dtype.is_half for type in (*node.types, *(value.type for value in node.inputs))):
        return nests
    return tuple(_computed(nest, node) for nest in nests)


def _computed(nest: Nest, node: Node) -> Nest:
    body, result = _widened(nest.body), node.types[nest.output].dtype
    is_moved = isinstance(body, Load) and node.inputs[body.operand].dtype is result
    if nest.is_map and result.is_half and not is_moved:
        body = cast(Apply("cast", (body,), result), DType.F32)
    return replace(nest, body=body)


def _widened(expr: Expr) -> Expr:
    """The expression with f32 in place of half types."""
    if isinstance(expr, Apply):
        args = tuple(map(_widened, expr.args))
        if expr.fn == "cast" and expr.dtype.is_half:
            return cast(args[0], DType.F32)
        return Apply(expr.fn, args, expr.dtype.computed)
    if isinstance(expr, Load):
        return rewrite(expr, lambda e: replace(e, dtype=e.dtype.computed) if e.dtype.is_half else e)
    return replace(expr, dtype=expr.dtype.computed) if expr.dtype.is_half else expr


def widened(asm: Assembly, name: str, dtype: DType, lanes: int) -> str:
    """f32 of the bits of a half type, i16."""
    short, word, real = (llvm_type(name, lanes) for name in ("i16", "i32", "f32"))
    if dtype is DType.F16:
        half = asm.op(f"bitcast {short} {name} to {_half(lanes)}")
        return asm.op(f"fpext {_half(lanes)} {half} to {real}")
    wide = asm.op(f"zext {short} {name} to {word}")
    high = asm.op(f"shl {word} {wide}, {_integer(16, lanes)}")
    return asm.op(f"bitcast {word} {high} to {real}")


def narrowed(asm: Assembly, name: str, dtype: DType, lanes: int) -> str:
    """The bits of the half nearest to an f32, i16; NaN stays NaN."""
    short, word, real = (llvm_type(name, lanes) for name in ("i16", "i32", "f32"))
    if dtype is DType.F16:
        half = asm.op(f"fptrunc {real} {name} to {_half(lanes)}")
        return asm.op(f"bitcast {_half(lanes)} {half} to {short}")
    bits = asm.op(f"bitcast {real} {name} to {word}")
    last = asm.op(f"lshr {word} {bits}, {_integer(16, lanes)}")
    odd = asm.op(f"and {word} {last}, {_integer(1, lanes)}")
    half_less = asm.op(f"add {word} {bits}, {_integer(0x7FFF, lanes)}")
    sum_ = asm.op(f"add {word} {half_less}, {odd}")
    nearest = asm.op(f"lshr {word} {sum_}, {_integer(16, lanes)}")
    quiet = asm.op(f"or {word} {last}, {_integer(0x40, lanes)}")
    flag = "i1" if lanes == 1 else f"<{lanes} x i1>"
    is_nan = asm.op(f"fcmp uno {real} {name}, {name}")
    chosen = asm.op(f"select {flag} {is_nan}, {word} {quiet}, {word} {nearest}")
    return asm.op(f"trunc {word} {chosen} to {short}")


def rounded(asm: Assembly, name: str, dtype: DType, lanes: int) -> str:
    """An f32 with the value of the nearest half."""
    return widened(asm, narrowed(asm, name, dtype, lanes), dtype, lanes)


def _half(lanes: int) -> str:
    return "half" if lanes == 1 else f"<{lanes} x half>"


def _integer(value: int, lanes: int) -> str:
    return str(value) if lanes == 1 else f"splat (i32 {value})"
