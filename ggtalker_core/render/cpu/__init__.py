"""The CPU rasteriser's kernels, compiled by numba; imported only by `backend_numba`."""
