"""Sixteen float32 at once for numba: a type `Lanes` with arithmetic, comparisons (`Mask`) and a few functions.

Kernels written with it say what is one vector instead of hoping that the compiler finds out, on every CPU: LLVM maps
sixteen lanes to one AVX-512, two AVX2 or four NEON registers. A product and a sum may fuse into one instruction;
nothing else is reordered, so results do not depend on the number of threads.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `pipeline` calls them)
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

WIDTH = 16
_FLOATS = ir.VectorType(ir.FloatType(), WIDTH)
_BITS = ir.VectorType(ir.IntType(1), WIDTH)
_INTS = ir.VectorType(ir.IntType(32), WIDTH)
_FLAGS = ("contract", "nsz")


class LanesType(types.Type):
    """numba's name for sixteen float32."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


class MaskType(types.Type):
    """numba's name for sixteen booleans."""

    def __init__(self) -> None:
        super().__init__(name="Mask")


lanes, mask = LanesType(), MaskType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _FLOATS)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _BITS)


def _constant(value: float) -> Any:
    return ir.Constant(_FLOATS, [value] * WIDTH)


def _operators(kind: Any, result: Any, table: dict[Any, Callable[[Any, Any, Any], Any]]) -> None:
    """Teach numba binary operators between two values of `kind`."""
    for function, emit in table.items():

        def typer(context: Any) -> Any:
            return lambda a, b: result if a == kind and b == kind else None

        def lower(context: Any, builder: Any, signature: Any, args: Any, emit: Any = emit) -> Any:
            return emit(builder, *args)

        type_callable(function)(typer)
        lower_builtin(function, kind, kind)(lower)


def _compare(sign: str) -> Callable[[Any, Any, Any], Any]:
    return lambda b, x, y: b.fcmp_ordered(sign, x, y)


_operators(
    lanes,
    lanes,
    {
        operator.add: lambda b, x, y: b.fadd(x, y, flags=_FLAGS),
        operator.sub: lambda b, x, y: b.fsub(x, y, flags=_FLAGS),
        operator.mul: lambda b, x, y: b.fmul(x, y, flags=_FLAGS),
        operator.truediv: lambda b, x, y: b.fdiv(x, y, flags=_FLAGS),
    },
)
_operators(
    lanes,
    mask,
    {
        operator.ge: _compare(">="),
        operator.gt: _compare(">"),
        operator.le: _compare("<="),
        operator.lt: _compare("<"),
    },
)
_operators(mask, mask, {operator.and_: lambda b, x, y: b.and_(x, y), operator.or_: lambda b, x, y: b.or_(x, y)})


def _call(builder: Any, name: str, *args: Any) -> Any:
    """Call LLVM's intrinsic `name` on sixteen lanes."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f32")
    return builder.call(function, args)


def _unary(name: str) -> Any:
    @intrinsic
    def function(context: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _call(builder, name, args[0])

        return lanes(lanes), codegen

    return function


sqrt, floor, ceil, absolute = _unary("sqrt"), _unary("floor"), _unary("ceil"), _unary("fabs")


def _choose(builder: Any, sign: str, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered(sign, x, y), x, y)


@intrinsic
def minimum(context: Any, x: Any, y: Any) -> Any:
    """The lesser of each pair; y where either is not a number."""
    return lanes(lanes, lanes), lambda context, b, signature, args: _choose(b, "<", *args)


@intrinsic
def maximum(context: Any, x: Any, y: Any) -> Any:
    """The greater of each pair; y where either is not a number."""
    return lanes(lanes, lanes), lambda context, b, signature, args: _choose(b, ">", *args)


@intrinsic
def select(context: Any, condition: Any, x: Any, y: Any) -> Any:
    """Lane by lane, x where the condition holds, else y."""
    return lanes(mask, lanes, lanes), lambda context, b, signature, args: b.select(*args)


@intrinsic
def splat(context: Any, value: Any) -> Any:
    """Sixteen copies of one float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTS, [0] * WIDTH))

    return lanes(types.float32), codegen


@intrinsic
def bits(context: Any, condition: Any) -> Any:
    """The sixteen booleans as the low bits of an int32, lane 0 first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(16)), ir.IntType(32))

    return types.int32(mask), codegen


@intrinsic
def lowest_bit(context: Any, value: Any) -> Any:
    """The index of the lowest bit set in an int32 that is not zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int32(types.int32), codegen


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """Pointer to the elements from the flat `index` on, as a pointer to `kind`."""
    from numba.np.arrayobj import make_array

    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


@intrinsic
def load(context: Any, array: Any, index: Any) -> Any:
    """Sixteen neighbours of a contiguous float32 array, from the flat index on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, signature.args[0], args[0], args[1], _FLOATS)
        return builder.load(place, align=4)

    return lanes(array, types.int64), codegen


@intrinsic
def store(context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen neighbours of a contiguous float32 array, from the flat index on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, signature.args[0], args[0], args[1], _FLOATS)
        builder.store(args[2], place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), codegen


@intrinsic
def take(context: Any, counter: Any) -> Any:
    """The number in an int64 array's first element, which goes up by one: no two threads get the same."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.IntType(64)
        place = _address(context, builder, signature.args[0], args[0], number(0), number)
        return builder.atomic_rmw("add", place, number(1), "monotonic")

    return types.int64(counter), codegen


@intrinsic
def prefetch(context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of an array's element, to be there a little later."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = _address(context, builder, signature.args[0], args[0], args[1], ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, number(0), number(3), number(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


def _shuffle(builder: Any, x: Any, y: Any, picks: list[int]) -> Any:
    """Lanes of x (0..15) and y (16..31), picked by constants."""
    return builder.shuffle_vector(x, y, ir.Constant(_INTS, picks))


def _merge(builder: Any, parts: list[Any], origin: list[tuple[int, int]]) -> Any:
    """A vector whose lane k comes from `origin[k]` = (which of `parts`, which of its lanes)."""
    merged = ir.Constant(_FLOATS, ir.Undefined)
    for k, part in enumerate(parts):
        picks = [WIDTH + lane if which == k else own for own, (which, lane) in enumerate(origin)]
        merged = _shuffle(builder, merged, part, picks)
    return merged


@intrinsic(prefer_literal=True)
def load_columns(context: Any, array: Any, index: Any, count: Any) -> Any:
    """The `count` (a literal) columns of sixteen rows of a contiguous [*, count] array, from the flat index on."""
    n = count.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, signature.args[0], args[0], args[1], _FLOATS)
        steps = [ir.Constant(ir.IntType(32), k) for k in range(n)]
        parts = [builder.load(builder.gep(place, [step]), align=4) for step in steps]
        columns = [_merge(builder, parts, [divmod(lane * n + c, WIDTH) for lane in range(WIDTH)]) for c in range(n)]
        return context.make_tuple(builder, signature.return_type, columns)

    return types.UniTuple(lanes, n)(array, types.int64, count), codegen


@intrinsic
def store_columns(context: Any, array: Any, index: Any, columns: Any) -> Any:
    """Write n columns as sixteen rows of a contiguous [*, n] array, from the flat index on."""
    n = len(columns)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, signature.args[0], args[0], args[1], _FLOATS)
        parts = cgutils.unpack_tuple(builder, args[2])
        for k in range(n):
            origin = [divmod(k * WIDTH + lane, n)[::-1] for lane in range(WIDTH)]
            row = builder.gep(place, [ir.Constant(ir.IntType(32), k)])
            builder.store(_merge(builder, parts, origin), row, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, columns), codegen


def _halve(builder: Any, x: Any, y: Any, step: int) -> tuple[Any, Any]:
    """One butterfly step: lanes of x where `step` is not in the lane's number, of y where it is; and their partners."""
    near = [lane if not lane & step else WIDTH + lane - step for lane in range(WIDTH)]
    far = [lane + step if not lane & step else WIDTH + lane for lane in range(WIDTH)]
    return _shuffle(builder, x, y, near), _shuffle(builder, x, y, far)


@intrinsic
def transpose(context: Any, rows: Any) -> Any:
    """Sixteen vectors as the rows of a 16x16 matrix, turned into its columns."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[0])
        for step in (8, 4, 2, 1):
            for k in range(WIDTH):
                if not k & step:
                    parts[k], parts[k + step] = _halve(builder, parts[k], parts[k + step], step)
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(lanes, WIDTH)(rows), codegen


@intrinsic
def sum_each(context: Any, rows: Any) -> Any:
    """The sums over the lanes of up to sixteen vectors: lane k of the result is the sum of vector k."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts: list[Any] = cgutils.unpack_tuple(builder, args[0])
        zero = _constant(0.0)
        parts += [zero] * (WIDTH - len(parts))
        for step in (8, 4, 2, 1):
            pairs = [_halve(builder, parts[k], parts[k + step], step) for k in range(step)]
            parts = [builder.fadd(near, far, flags=_FLAGS) for near, far in pairs]
        return parts[0]

    return lanes(rows), codegen


@intrinsic
def store_nine(context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write lanes 0..8 alone, from the flat index on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        eight = ir.VectorType(ir.FloatType(), 8)
        place = _address(context, builder, signature.args[0], args[0], args[1], eight)
        picks = ir.Constant(ir.VectorType(ir.IntType(32), 8), list(range(8)))
        builder.store(builder.shuffle_vector(args[2], args[2], picks), place, align=4)
        last = builder.gep(place, [ir.Constant(ir.IntType(32), 1)])
        ninth = builder.extract_element(args[2], ir.Constant(ir.IntType(32), 8))
        builder.store(ninth, builder.bitcast(last, ir.FloatType().as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), codegen


# 2^f on [-0.5, 0.5], relative error below 2e-7; and log2((1+s)/(1-s)) / s as a polynomial in s^2, |s| < 0.172
_EXP2 = (1.0, 0.6931471806, 0.2402264922, 0.05550347266, 0.009618243384, 0.001339962, 0.000154035303933816)
_LOG2 = (2.8853900818, 0.9617966939, 0.5770780163, 0.4121985831, 0.3205988980)


def _horner(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    value = _constant(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = builder.fadd(builder.fmul(value, x, flags=_FLAGS), _constant(c), flags=_FLAGS)
    return value


@intrinsic
def exp2(context: Any, x: Any) -> Any:
    """2 to the power of each lane, for -126 < x < 127."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = _call(builder, "rint", args[0])
        value = _horner(builder, builder.fsub(args[0], whole), _EXP2)
        power = builder.shl(builder.fptosi(whole, _INTS), ir.Constant(_INTS, [23] * WIDTH))
        return builder.bitcast(builder.add(builder.bitcast(value, _INTS), power), _FLOATS)

    return lanes(lanes), codegen


@intrinsic
def log2(context: Any, x: Any) -> Any:
    """Logarithm to base 2 of each lane, for normal positive numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def ints(value: int) -> Any:
            return ir.Constant(_INTS, [value] * WIDTH)

        # x = 2^e * m with m in [0.75, 1.5)
        raw = builder.bitcast(args[0], _INTS)
        exponent = builder.ashr(builder.sub(raw, ints(0x3F400000)), ints(23))
        mantissa = builder.bitcast(builder.sub(raw, builder.shl(exponent, ints(23))), _FLOATS)
        one = _constant(1.0)
        s = builder.fdiv(builder.fsub(mantissa, one), builder.fadd(mantissa, one))
        series = _horner(builder, builder.fmul(s, s), _LOG2)
        whole = builder.sitofp(exponent, _FLOATS)
        return builder.fadd(builder.fmul(s, series, flags=_FLAGS), whole, flags=_FLAGS)

    return lanes(lanes), codegen
