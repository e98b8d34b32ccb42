"""The gradient of the projection: gathers each Gaussian's slots, then goes back through `projection.project`."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `pipeline` calls them)
from __future__ import annotations

import numpy as np

from ...jit import inlined, jit
from . import lanes as L
from .backward import SLOT
from .projection import (
    ANTIALIASED,
    EPS,
    NEAR,
    X_MAX,
    X_MIN,
    Y_MAX,
    Y_MIN,
    covariance,
    f32,
    rotation,
    screen_rows,
    slope,
    transform,
    turn,
    unit,
)  # fmt: skip


@inlined
def gather(slots, counts, gradients, first, scratch):
    """The nine sums of sixteen Gaussians over the tiles that each touches, always in the same order."""
    for k in range(16):
        total = L.splat(f32(0))
        begin = np.int64(slots[first + k])
        for s in range(begin, begin + counts[first + k]):
            total = total + L.load(gradients, s * SLOT)
        L.store(scratch, k * 16, total)
    rows = (
        L.load(scratch, 0), L.load(scratch, 16), L.load(scratch, 32), L.load(scratch, 48),
        L.load(scratch, 64), L.load(scratch, 80), L.load(scratch, 96), L.load(scratch, 112),
        L.load(scratch, 128), L.load(scratch, 144), L.load(scratch, 160), L.load(scratch, 176),
        L.load(scratch, 192), L.load(scratch, 208), L.load(scratch, 224), L.load(scratch, 240),
    )  # fmt: skip
    return L.transpose(rows)


@inlined
def blur_gradient(xx, xy, yy, det, g):
    """Gradients of the pixel position and of the screen covariance (half of xy's each way) from the sums.

    The exponent is -(a s^2 + c dy^2) / 2 with s = dx - k dy, a = yy / det, k = xy / yy and c = 1 / yy.
    """
    zero, half = L.splat(f32(0)), L.splat(f32(0.5))
    c = L.splat(f32(1)) / yy
    a, k = yy / det, xy * c
    g_x = zero - a * g[0]
    g_y = zero - k * g_x - c * g[1]
    v_a, v_k, v_c = zero - half * g[2], a * g[3], zero - half * g[4]
    w00 = zero - a * a * v_a
    w01 = half * c * v_k - k * w00
    w11 = k * k * w00 - k * c * v_k - c * c * v_c
    return g_x, g_y, w00, w01, w11


@inlined
def cross(p, q):
    """Cross product of two rows."""
    return p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]


@inlined
def compensation_gradient(p, q, sharp, det, eps, v_root):
    """Antialiased mode: gradients of the rows p, q of scaled axes through root = sqrt(sharp / det).

    sharp = |p x q|^2 and det = sharp + eps (|p|^2 + |q|^2 + eps); by way of p x q, so that nothing cancels for needles.
    """
    zero, one = L.splat(f32(0)), L.splat(f32(1))
    ratio = sharp / det
    root = L.sqrt(ratio)
    # below this the slope of the root is unbounded and the Gaussian is invisible anyway
    h = L.select(root > L.splat(f32(1e-6)), v_root / (root * det), zero)
    of_sharp, of_trace = h * (one - ratio), zero - h * ratio * eps
    m = cross(p, q)
    u, v = cross(q, m), cross(m, p)
    return (
        of_sharp * u[0] + of_trace * p[0], of_sharp * u[1] + of_trace * p[1], of_sharp * u[2] + of_trace * p[2],
        of_sharp * v[0] + of_trace * q[0], of_sharp * v[1] + of_trace * q[1], of_sharp * v[2] + of_trace * q[2],
    )  # fmt: skip


@inlined
def quaternion_gradient(q, e):
    """From the gradient e of the rotation matrix to that of the quaternion before it was normalised."""
    w, x, y, z, inverse = q
    two = L.splat(f32(2))
    gw = two * (x * (e[7] - e[5]) + y * (e[2] - e[6]) + z * (e[3] - e[1]))
    gx = two * (y * (e[1] + e[3]) + z * (e[2] + e[6]) + w * (e[7] - e[5]) - two * x * (e[4] + e[8]))
    gy = two * (x * (e[1] + e[3]) + z * (e[5] + e[7]) + w * (e[2] - e[6]) - two * y * (e[0] + e[8]))
    gz = two * (x * (e[2] + e[6]) + y * (e[5] + e[7]) + w * (e[3] - e[1]) - two * z * (e[0] + e[4]))
    along = gw * w + gx * x + gy * y + gz * z
    return (
        (gw - along * w) * inverse, (gx - along * x) * inverse, (gy - along * y) * inverse, (gz - along * z) * inverse,
    )  # fmt: skip


@inlined
def position_gradient(cam, mx, my, rz, sx, sy, g_x, g_y, j00, j11, va, vb):
    """Gradient of the world position, from those of the pixel (g_x, g_y) and of the screen rows va, vb."""
    zero, two = L.splat(f32(0)), L.splat(f32(2))
    v_j00 = va[0] * L.splat(cam[0]) + va[1] * L.splat(cam[1]) + va[2] * L.splat(cam[2])
    v_j02 = va[0] * L.splat(cam[6]) + va[1] * L.splat(cam[7]) + va[2] * L.splat(cam[8])
    v_j11 = vb[0] * L.splat(cam[3]) + vb[1] * L.splat(cam[4]) + vb[2] * L.splat(cam[5])
    v_j12 = vb[0] * L.splat(cam[6]) + vb[1] * L.splat(cam[7]) + vb[2] * L.splat(cam[8])
    px, py = mx * rz, my * rz
    inside_x = (px > L.splat(cam[X_MIN])) & (px < L.splat(cam[X_MAX]))
    inside_y = (py > L.splat(cam[Y_MIN])) & (py < L.splat(cam[Y_MAX]))
    # j00 = fx/z, j02 = -fx sx/z with sx = x/z unless clamped; the same for y
    tilt_x, tilt_y = zero - j00 * rz * v_j02, zero - j11 * rz * v_j12
    vx = j00 * g_x + L.select(inside_x, tilt_x, zero)
    vy = j11 * g_y + L.select(inside_y, tilt_y, zero)
    vz = zero - rz * (j00 * v_j00 + j11 * v_j11) - j00 * px * g_x - j11 * py * g_y
    vz = vz - tilt_x * sx * L.select(inside_x, two, L.splat(f32(1)))
    vz = vz - tilt_y * sy * L.select(inside_y, two, L.splat(f32(1)))
    return (
        L.splat(cam[0]) * vx + L.splat(cam[3]) * vy + L.splat(cam[6]) * vz,
        L.splat(cam[1]) * vx + L.splat(cam[4]) * vy + L.splat(cam[7]) * vz,
        L.splat(cam[2]) * vx + L.splat(cam[5]) * vy + L.splat(cam[8]) * vz,
    )


@inlined
def axes_gradient(p, q, w00, w01, w11):
    """Gradient of the two rows of scaled axes: covariance = rows times rows transposed."""
    two = L.splat(f32(2))
    u0, u1, u2 = (two * (w00 * p[0] + w01 * q[0]), two * (w00 * p[1] + w01 * q[1]), two * (w00 * p[2] + w01 * q[2]))
    v0, v1, v2 = (two * (w01 * p[0] + w11 * q[0]), two * (w01 * p[1] + w11 * q[1]), two * (w01 * p[2] + w11 * q[2]))
    return u0, u1, u2, v0, v1, v2


@jit
def differentiate_projection(
    means, quats, scales, opacities, cam, records, counts, slots, gradients, start, stop,
    v_means, v_quats, v_scales, v_opacities, v_colors,
):  # fmt: skip
    """Gradients of the Gaussians start..stop (at least sixteen); zero where a Gaussian was not seen."""
    scratch, seen_row = np.empty(256, np.float32), np.empty(16, np.float32)
    zero, one, eps = L.splat(f32(0)), L.splat(f32(1)), L.splat(cam[EPS])
    for begin in range(start, stop, 16):
        i = min(begin, stop - 16)
        g = gather(slots, counts, gradients, i, scratch)
        for k in range(16):
            seen_row[k] = counts[i + k]
        seen = L.load(seen_row, 0) > zero
        x, y, z = L.load_columns(means, i * 3, 3)
        mx, my, mz = transform(cam, x, y, z)
        rz = one / L.maximum(mz, L.splat(cam[NEAR]))
        j00, j02, j11, j12, sx, sy = slope(cam, mx, my, rz)
        a0, a1, a2, b0, b1, b2 = screen_rows(cam, j00, j02, j11, j12)
        unit_quat = unit(L.load_columns(quats, i * 4, 4))
        r = rotation(unit_quat[0], unit_quat[1], unit_quat[2], unit_quat[3])
        s0, s1, s2 = L.load_columns(scales, i * 3, 3)
        p0, p1, p2 = turn(a0, a1, a2, r)
        q0, q1, q2 = turn(b0, b1, b2, r)
        p, q = (p0 * s0, p1 * s1, p2 * s2), (q0 * s0, q1 * s1, q2 * s2)
        xx, xy, yy, sharp, det = covariance(p, q, eps)
        g_x, g_y, w00, w01, w11 = blur_gradient(xx, xy, yy, det, g)
        u0, u1, u2, v0, v1, v2 = axes_gradient(p, q, w00, w01, w11)
        opacity = L.load(opacities, i)
        v_opacity = g[5] / opacity
        if cam[ANTIALIASED] > f32(0):
            h = compensation_gradient(p, q, sharp, det, eps, g[5] / L.sqrt(sharp / det))
            u0, u1, u2, v0, v1, v2 = u0 + h[0], u1 + h[1], u2 + h[2], v0 + h[3], v1 + h[4], v2 + h[5]
        vs = (u0 * p0 + v0 * q0, u1 * p1 + v1 * q1, u2 * p2 + v2 * q2)
        u0, u1, u2, v0, v1, v2 = u0 * s0, u1 * s1, u2 * s2, v0 * s0, v1 * s1, v2 * s2
        e = (
            a0 * u0 + b0 * v0, a0 * u1 + b0 * v1, a0 * u2 + b0 * v2,
            a1 * u0 + b1 * v0, a1 * u1 + b1 * v1, a1 * u2 + b1 * v2,
            a2 * u0 + b2 * v0, a2 * u1 + b2 * v1, a2 * u2 + b2 * v2,
        )  # fmt: skip
        vq = quaternion_gradient(unit_quat, e)
        va = (u0 * r[0] + u1 * r[1] + u2 * r[2], u0 * r[3] + u1 * r[4] + u2 * r[5], u0 * r[6] + u1 * r[7] + u2 * r[8])
        vb = (v0 * r[0] + v1 * r[1] + v2 * r[2], v0 * r[3] + v1 * r[4] + v2 * r[5], v0 * r[6] + v1 * r[7] + v2 * r[8])
        vm = position_gradient(cam, mx, my, rz, sx, sy, g_x, g_y, j00, j11, va, vb)
        m0, m1, m2 = L.select(seen, vm[0], zero), L.select(seen, vm[1], zero), L.select(seen, vm[2], zero)
        L.store_columns(v_means, i * 3, (m0, m1, m2))
        k0, k1 = L.select(seen, vq[0], zero), L.select(seen, vq[1], zero)
        k2, k3 = L.select(seen, vq[2], zero), L.select(seen, vq[3], zero)
        L.store_columns(v_quats, i * 4, (k0, k1, k2, k3))
        t0, t1, t2 = L.select(seen, vs[0], zero), L.select(seen, vs[1], zero), L.select(seen, vs[2], zero)
        L.store_columns(v_scales, i * 3, (t0, t1, t2))
        L.store(v_opacities, i, L.select(seen, v_opacity, zero))
        L.store_columns(v_colors, i * 3, (g[6], g[7], g[8]))
