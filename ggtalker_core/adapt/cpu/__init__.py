"""Kernels of the fit, compiled by numba; imported only by `prior_compiled`."""
