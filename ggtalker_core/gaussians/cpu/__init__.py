"""Kernels of the rigging, compiled by numba; imported only by `rigging_compiled`."""
