"""How every kernel is compiled; imported by kernels only, since it needs numba."""

from __future__ import annotations

import numba

# cached on disk, without the interpreter's lock, without exceptions for division
jit = numba.njit(cache=True, nogil=True, error_model="numpy")
inlined = numba.njit(nogil=True, error_model="numpy", forceinline=True)
