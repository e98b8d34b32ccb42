"""Reads the arrays out of a FLAME-style pickle without running anything that it names.

Official FLAME files are Python 2 pickles with chumpy arrays and a scipy sparse matrix. Here every class or function
that a pickle may name is replaced by an inert stand-in of ours that only keeps numbers; any other name is refused.
Neither chumpy nor scipy nor numpy's own unpickling code is ever called.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LimitExceededError, UnreadableFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 200 << 20
_KINDS = {"b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"}


class _Number:
    """Stands in for numpy.dtype: one of the plain number types."""

    def __init__(self, code: object, *_: object):
        text = code.decode("latin1") if isinstance(code, bytes) else str(code)
        self.code = text.lstrip("<>|=")
        self.order = text[0] if text[:1] in "<>" else "<"
        if self.code not in _KINDS:
            raise pickle.UnpicklingError(f"array of type {text!r}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else str(state[1])
        if order in "<>":
            self.order = order

    def array(self, raw: bytes, shape: tuple[int, ...], fortran: bool) -> NDArray[Any]:
        """The numbers in `raw`, whose length must fit the shape."""
        import numpy as np

        dtype = np.dtype(self.order + self.code)
        if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(raw):
            raise pickle.UnpicklingError(f"an array of shape {shape} with {len(raw)} bytes")
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")


class _Array:
    """Stands in for numpy.ndarray."""

    value: NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, number, fortran, raw = state
        if not isinstance(number, _Number) or not isinstance(raw, (bytes, str)):
            raise pickle.UnpicklingError("an array that does not hold plain numbers")
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        self.value = number.array(data, tuple(int(n) for n in shape), bool(fortran))


class _Chumpy:
    """Stands in for every class of chumpy: the value is in `x`, or is a selection `idxs` of `a`."""

    state: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = dict(state) if isinstance(state, dict) else {}

    def array(self, depth: int) -> NDArray[Any]:
        if "x" in self.state:
            return _numbers(self.state["x"], depth + 1)
        if "a" in self.state and "idxs" in self.state:
            chosen = _numbers(self.state["a"], depth + 1).ravel()[_numbers(self.state["idxs"], depth + 1)]
            shape = self.state.get("preferred_shape")
            return chosen if shape is None else chosen.reshape(tuple(int(n) for n in shape))
        raise pickle.UnpicklingError("a chumpy object without a value")


class _Sparse:
    """Stands in for scipy's csc_matrix."""

    state: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = dict(state) if isinstance(state, dict) else {}

    def array(self, depth: int) -> NDArray[Any]:
        import numpy as np

        data, rows, starts = (_numbers(self.state[k], depth + 1) for k in ("data", "indices", "indptr"))
        height, width = (int(n) for n in self.state.get("_shape", self.state.get("shape", (0, 0))))
        if not (0 < height <= 64 and 0 < width <= 100_000) or len(starts) != width + 1:
            raise pickle.UnpicklingError(f"a sparse matrix of shape {height} x {width}")
        dense = np.zeros((height, width))
        dense[rows, np.repeat(np.arange(width), np.diff(starts))] = data
        return dense


def _new_array(*_: object) -> _Array:
    return _Array()


def _from_buffer(raw: bytes, number: _Number, shape: tuple[int, ...], order: str) -> _Array:
    out = _Array()
    out.value = number.array(bytes(raw), tuple(int(n) for n in shape), order == "F")
    return out


def _scalar(number: _Number, raw: bytes | str) -> float:
    return float(number.array(raw.encode("latin1") if isinstance(raw, str) else raw, (1,), False)[0])


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


def _rebuild(cls: type, *_: object) -> object:
    if cls not in (_Chumpy, _Sparse):
        raise pickle.UnpicklingError("an object of a class that is not known")
    return cls()


_STANDINS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Number,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    ("copy_reg", "_reconstructor"): _rebuild,
    ("copyreg", "_reconstructor"): _rebuild,
    ("__builtin__", "object"): _Array,
    ("builtins", "object"): _Array,
}
for _core in ("numpy.core", "numpy._core"):
    _STANDINS[(f"{_core}.multiarray", "_reconstruct")] = _new_array
    _STANDINS[(f"{_core}.multiarray", "scalar")] = _scalar
    _STANDINS[(f"{_core}.numeric", "_frombuffer")] = _from_buffer


class _Reader(pickle.Unpickler):
    """Hands out stand-ins only."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Refuse every name that has no stand-in."""
        if module_name.split(".")[0] == "chumpy":
            return _Chumpy
        if module_name.startswith("scipy.sparse") and global_name in ("csc_matrix", "csc_array"):
            return _Sparse
        found = _STANDINS.get((module_name, global_name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")
        return found


def _numbers(value: object, depth: int = 0) -> NDArray[Any]:
    """The array behind a stand-in. Raises UnpicklingError for anything else."""
    if depth > 8:
        raise pickle.UnpicklingError("objects nested too deep")
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if isinstance(value, (_Chumpy, _Sparse)):
        return value.array(depth)
    raise pickle.UnpicklingError(f"{type(value).__name__} where an array was expected")


def read_pickle(path: Path, wanted: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The arrays called `wanted` of a pickled dictionary (those that are there).

    Raises LimitExceededError over 200 MB, UnreadableFileError for a pickle that names anything unknown or is damaged.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise LimitExceededError(f"{path.name} has {size >> 20} MB; the limit is {MAX_BYTES >> 20} MB.")
    try:
        content = _Reader(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"it holds a {type(content).__name__}, not a dictionary")
        return {key: _numbers(content[key]) for key in wanted if key in content}
    except Exception as error:  # a damaged pickle may raise anything; it is turned into one clear error
        raise UnreadableFileError(
            f"{path.name} is not a FLAME model that can be read safely: {error}. Nothing in it was run. Use the "
            "original file of the FLAME web page (generic_model.pkl, flame2023.pkl or flame2023_Open.pkl)."
        ) from error
