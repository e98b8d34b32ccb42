"""3D Gaussians to the screen, sixteen at a time (gsplat 1.5's formulas), and its shared geometry for the gradient.

One record of sixteen floats (a cache line) per Gaussian is all that the later stages read; conics are stored for
base-2 exponents and as a sum of squares, in which nothing cancels: a pixel's coverage is
exp2(log2 opacity - a (dx - k dy)^2 - c dy^2).
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `pipeline` calls them)
from __future__ import annotations

import numpy as np

from ...jit import inlined, jit
from ..config import ALPHA_MIN, EXTENT_MAX, TILE_PX
from . import lanes as L

f32 = np.float32
RECORD = 16  # floats per Gaussian
# columns of a record
UX, UY, A, LEAN_X, C, LOG_OPACITY, RED, GREEN, BLUE, LEAN_Y = range(10)
LOG2E = f32(1.4426950408889634)

# columns of the camera's numbers, see `pipeline.camera_numbers`
FX, FY, CX, CY, WIDTH, HEIGHT = 12, 13, 14, 15, 16, 17
X_MAX, X_MIN, Y_MAX, Y_MIN, NEAR, FAR, EPS, ANTIALIASED = 18, 19, 20, 21, 22, 23, 24, 25
CAMERA = 26


@inlined
def transform(cam, x, y, z):
    """World to camera axes."""
    mx = L.splat(cam[0]) * x + L.splat(cam[1]) * y + L.splat(cam[2]) * z + L.splat(cam[9])
    my = L.splat(cam[3]) * x + L.splat(cam[4]) * y + L.splat(cam[5]) * z + L.splat(cam[10])
    mz = L.splat(cam[6]) * x + L.splat(cam[7]) * y + L.splat(cam[8]) * z + L.splat(cam[11])
    return mx, my, mz


@inlined
def rotation(w, x, y, z):
    """Rows of the rotation matrix of unit quaternions."""
    one, two = L.splat(f32(1)), L.splat(f32(2))
    r00, r01, r02 = one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y)
    r10, r11, r12 = two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x)
    r20, r21, r22 = two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y)
    return r00, r01, r02, r10, r11, r12, r20, r21, r22


@inlined
def slope(cam, mx, my, rz):
    """Derivative of the pixel by the camera position (j00, j02, j11, j12) and the clamped slopes tx/z, ty/z."""
    sx = L.minimum(L.maximum(mx * rz, L.splat(cam[X_MIN])), L.splat(cam[X_MAX]))
    sy = L.minimum(L.maximum(my * rz, L.splat(cam[Y_MIN])), L.splat(cam[Y_MAX]))
    j00, j11 = L.splat(cam[FX]) * rz, L.splat(cam[FY]) * rz
    zero = L.splat(f32(0))
    return j00, zero - j00 * sx, j11, zero - j11 * sy, sx, sy


@inlined
def screen_rows(cam, j00, j02, j11, j12):
    """The slope times the camera's rotation: two rows of three."""
    a0 = j00 * L.splat(cam[0]) + j02 * L.splat(cam[6])
    a1 = j00 * L.splat(cam[1]) + j02 * L.splat(cam[7])
    a2 = j00 * L.splat(cam[2]) + j02 * L.splat(cam[8])
    b0 = j11 * L.splat(cam[3]) + j12 * L.splat(cam[6])
    b1 = j11 * L.splat(cam[4]) + j12 * L.splat(cam[7])
    b2 = j11 * L.splat(cam[5]) + j12 * L.splat(cam[8])
    return a0, a1, a2, b0, b1, b2


@inlined
def turn(a0, a1, a2, r):
    """A row of three times a rotation matrix."""
    p0 = a0 * r[0] + a1 * r[3] + a2 * r[6]
    p1 = a0 * r[1] + a1 * r[4] + a2 * r[7]
    p2 = a0 * r[2] + a1 * r[5] + a2 * r[8]
    return p0, p1, p2


@inlined
def unit(q):
    """Normalised quaternion and one over its length."""
    inverse = L.splat(f32(1)) / L.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    return q[0] * inverse, q[1] * inverse, q[2] * inverse, q[3] * inverse, inverse


@inlined
def covariance(p, q, eps):
    """Screen covariance (with the low-pass) of the axes' rows p, q, and its determinant without and with low-pass.

    The determinants are sums of squared minors: nothing cancels, however thin the Gaussian is.
    """
    xx, xy = p[0] * p[0] + p[1] * p[1] + p[2] * p[2], p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
    yy = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
    m0, m1, m2 = p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]
    sharp = m0 * m0 + m1 * m1 + m2 * m2
    return xx + eps, xy, yy + eps, sharp, sharp + eps * (xx + yy + eps)


@inlined
def cull_and_bound(cam, mz, ux, uy, xx, yy, det, opacity, log_opacity):
    """Which Gaussians are seen, and the half-open box of tiles that each touches."""
    zero, one = L.splat(f32(0)), L.splat(f32(1))
    spread = L.sqrt(L.maximum(log_opacity + L.splat(f32(7.994353436858858)), zero) * L.splat(f32(1.3862943611)))
    extent = L.minimum(spread, L.splat(f32(EXTENT_MAX)))
    rx, ry = L.ceil(extent * L.sqrt(xx)), L.ceil(extent * L.sqrt(yy))
    width, height = L.splat(cam[WIDTH]), L.splat(cam[HEIGHT])
    seen = (mz >= L.splat(cam[NEAR])) & (mz <= L.splat(cam[FAR])) & (det > zero)
    seen = seen & (opacity >= L.splat(f32(ALPHA_MIN))) & ((rx > zero) | (ry > zero))
    seen = seen & (ux + rx > zero) & (ux - rx < width) & (uy + ry > zero) & (uy - ry < height)
    tile, last = L.splat(f32(1.0 / TILE_PX)), L.splat(f32(TILE_PX - 1))
    columns, rows = L.floor((width + last) * tile), L.floor((height + last) * tile)
    x0, x1 = L.floor((ux - rx) * tile), L.ceil((ux + rx) * tile)
    y0, y1 = L.floor((uy - ry) * tile), L.ceil((uy + ry) * tile)
    x0, x1 = L.minimum(L.maximum(x0, zero), columns), L.minimum(L.maximum(x1, zero), columns)
    y0, y1 = L.minimum(L.maximum(y0, zero), rows), L.minimum(L.maximum(y1, zero), rows)
    count = L.select(seen, (x1 - x0) * (y1 - y0), zero)
    return count, x0, y0, x1, y1, one


@jit
def project(means, quats, scales, opacities, colors, cam, start, stop, records, rects, counts, depths):
    """Project the Gaussians start..stop (at least sixteen); fills the rows of those that are seen, counts for all."""
    box = np.empty((6, 16), np.float32)
    zero, one, half = L.splat(f32(0)), L.splat(f32(1)), L.splat(f32(0.5) * LOG2E)
    for begin in range(start, stop, 16):
        i = min(begin, stop - 16)  # the last sixteen overlap: same inputs, same results
        x, y, z = L.load_columns(means, i * 3, 3)
        mx, my, mz = transform(cam, x, y, z)
        rz = one / L.maximum(mz, L.splat(cam[NEAR]))
        j00, j02, j11, j12, _, _ = slope(cam, mx, my, rz)
        a0, a1, a2, b0, b1, b2 = screen_rows(cam, j00, j02, j11, j12)
        qw, qx, qy, qz, _ = unit(L.load_columns(quats, i * 4, 4))
        r = rotation(qw, qx, qy, qz)
        s0, s1, s2 = L.load_columns(scales, i * 3, 3)
        p0, p1, p2 = turn(a0, a1, a2, r)
        q0, q1, q2 = turn(b0, b1, b2, r)
        p, q = (p0 * s0, p1 * s1, p2 * s2), (q0 * s0, q1 * s1, q2 * s2)
        xx, xy, yy, sharp, det = covariance(p, q, L.splat(cam[EPS]))
        opacity = L.load(opacities, i)
        if cam[ANTIALIASED] > f32(0):
            opacity = opacity * L.sqrt(sharp / det)
        log_opacity = L.log2(L.maximum(opacity, L.splat(f32(1e-6))))
        ux, uy = j00 * mx + L.splat(cam[CX]), j11 * my + L.splat(cam[CY])
        count, x0, y0, x1, y1, _ = cull_and_bound(cam, mz, ux, uy, xx, yy, det, opacity, log_opacity)
        red, green, blue = L.load_columns(colors, i * 3, 3)
        # along a line of constant y the Gaussian is strongest at x = LEAN_X * y; of constant x at y = LEAN_Y * x
        record = (
            ux, uy, half * yy / det, xy / yy, half / yy, log_opacity, red, green, blue, xy / xx,
            zero, zero, zero, zero, zero, zero,
        )  # fmt: skip
        rows = L.transpose(record)
        for k in range(16):
            L.store(records, (i + k) * RECORD, rows[k])
        L.store(depths, i, mz)
        L.store(box, 0, count)
        L.store(box, 16, x0)
        L.store(box, 32, y0)
        L.store(box, 48, x1)
        L.store(box, 64, y1)
        for k in range(16):
            counts[i + k] = np.int32(box[0, k])
            rects[i + k, 0], rects[i + k, 1] = np.int16(box[1, k]), np.int16(box[2, k])
            rects[i + k, 2], rects[i + k, 3] = np.int16(box[3, k]), np.int16(box[4, k])
