"""The rigging of one frame and its gradient in one pass each: what `rigging.bind_texels` says in torch.

Torch needs some sixty small passes over memory for it, and with them took longer than the rasteriser.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `try_out` and `rigging_compiled` call them)
from __future__ import annotations

import math

import numpy as np

from ...jit import inlined, jit

FRAME = 13  # numbers of a triangle: edge 3, normal 3, edge x normal 3, quaternion 4
f32 = np.float32
_TINY = np.float32(1e-12)


@inlined
def cross(ax, ay, az, bx, by, bz):
    """a x b."""
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@inlined
def unit(x, y, z):
    """The vector of length one, and one over the length (0 where there is none)."""
    length = math.sqrt(x * x + y * y + z * z)
    if length <= _TINY:
        return x / _TINY, y / _TINY, z / _TINY, f32(0)
    inverse = f32(1) / length
    return x * inverse, y * inverse, z * inverse, inverse


@inlined
def unit_quaternion(q, i):
    """Row i of q [N, 4] with length one, and one over its length."""
    w, x, y, z = q[i, 0], q[i, 1], q[i, 2], q[i, 3]
    inverse = f32(1) / max(math.sqrt(w * w + x * x + y * y + z * z), _TINY)
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse


@inlined
def sides(vertices, used, u):
    """Both edges of triangle u that leave its first corner."""
    a, b, c = used[u, 0], used[u, 1], used[u, 2]
    ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
    return (
        vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az,
        vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az,
    )  # fmt: skip


@inlined
def put_quaternion(frame, ex, ey, ez, nx, ny, nz, tx, ty, tz):
    """The unit quaternion wxyz, w not negative, of the matrix with the columns e, n, t."""
    w, x, y, z = f32(1) + ex + ny + tz, f32(1) + ex - ny - tz, f32(1) - ex + ny - tz, f32(1) - ex - ny + tz
    best = max(w, x, y, z)
    if w == best:
        x, y, z = nz - ty, tx - ez, ey - nx
    elif x == best:
        w, y, z = nz - ty, nx + ey, tx + ez
    elif y == best:
        w, x, z = tx - ez, nx + ey, ty + nz
    else:
        w, x, y = ey - nx, tx + ez, ty + nz
    inverse = f32(1) / math.sqrt(w * w + x * x + y * y + z * z)
    if w < 0:
        inverse = -inverse
    frame[9], frame[10], frame[11], frame[12] = w * inverse, x * inverse, y * inverse, z * inverse


@jit
def pose_triangles(vertices, used, rest_area, least, most, frames, growth):
    """Frames [U, 13] of the triangles `used` [U, 3] of vertices [V, 3], and the root of how their areas grew [U]."""
    for u in range(used.shape[0]):
        dx, dy, dz, wx, wy, wz = sides(vertices, used, u)
        ex, ey, ez, _ = unit(dx, dy, dz)
        nx, ny, nz, _ = unit(*cross(ex, ey, ez, wx, wy, wz))
        tx, ty, tz = cross(ex, ey, ez, nx, ny, nz)
        frame = frames[u]
        frame[0], frame[1], frame[2], frame[3], frame[4], frame[5] = ex, ey, ez, nx, ny, nz
        frame[6], frame[7], frame[8] = tx, ty, tz
        put_quaternion(frame, ex, ey, ez, nx, ny, nz, tx, ty, tz)
        px, py, pz = cross(dx, dy, dz, wx, wy, wz)
        ratio = math.sqrt(f32(0.5) * math.sqrt(px * px + py * py + pz * pz) / rest_area[u])
        growth[u] = min(max(ratio, least), most)


@jit
def pose_texels(
    vertices, corners, barycentric, triangle, frames, growth, offset, log_scale, quaternion, means, quats, scales
):  # fmt: skip
    """Means [N, 3], quaternions [N, 4] and scales [N, 3] of the texels."""
    for i in range(triangle.shape[0]):
        u = triangle[i]
        f = frames[u]
        ox, oy, oz = offset[i, 0], offset[i, 1], offset[i, 2]
        for k in range(3):
            at = f[k] * ox + f[3 + k] * oy + f[6 + k] * oz
            for c in range(3):
                at += barycentric[i, c] * vertices[corners[i, c], k]
            means[i, k] = at
            scales[i, k] = math.exp(log_scale[i, k]) * growth[u]
        bw, bx, by, bz, _ = unit_quaternion(quaternion, i)
        aw, ax, ay, az = f[9], f[10], f[11], f[12]
        quats[i, 0] = aw * bw - ax * bx - ay * by - az * bz
        quats[i, 1] = aw * bx + ax * bw + ay * bz - az * by
        quats[i, 2] = aw * by - ax * bz + ay * bw + az * bx
        quats[i, 3] = aw * bz + ax * by - ay * bx + az * bw


@jit
def texel_gradients(
    triangle, frames, quaternion, scales, g_means, g_quats, g_scales, g_offset, g_log_scale, g_quaternion
):  # fmt: skip
    """Adds to the gradients of offset [N, 3], log scale [N, 3] and quaternion [N, 4] (triangles held)."""
    for i in range(triangle.shape[0]):
        f = frames[triangle[i]]
        gx, gy, gz = g_means[i, 0], g_means[i, 1], g_means[i, 2]
        for k in range(3):
            g_offset[i, k] += f[3 * k] * gx + f[3 * k + 1] * gy + f[3 * k + 2] * gz
            g_log_scale[i, k] += g_scales[i, k] * scales[i, k]
        # back through the product: the conjugate of the triangle's quaternion from the left
        aw, ax, ay, az = f[9], f[10], f[11], f[12]
        qw, qx, qy, qz = g_quats[i, 0], g_quats[i, 1], g_quats[i, 2], g_quats[i, 3]
        gw = aw * qw + ax * qx + ay * qy + az * qz
        gx, gy, gz = (
            aw * qx - ax * qw - ay * qz + az * qy,
            aw * qy + ax * qz - ay * qw - az * qx,
            aw * qz - ax * qy + ay * qx - az * qw,
        )
        # and through the division by the length
        bw, bx, by, bz, inverse = unit_quaternion(quaternion, i)
        along = gw * bw + gx * bx + gy * by + gz * bz
        g_quaternion[i, 0] += (gw - along * bw) * inverse
        g_quaternion[i, 1] += (gx - along * bx) * inverse
        g_quaternion[i, 2] += (gy - along * by) * inverse
        g_quaternion[i, 3] += (gz - along * bz) * inverse


@jit
def vertex_gradients(vertices, used, corners, barycentric, triangle, frames, offset, g_means, g_frames, g_vertices):
    """Adds to the gradient of the vertices [V, 3], through the places of the texels; g_frames [U, 9] is scratch."""
    g_frames[:] = f32(0)
    for i in range(triangle.shape[0]):
        g = g_frames[triangle[i]]
        for k in range(3):
            value = g_means[i, k]
            g[k] += value * offset[i, 0]
            g[3 + k] += value * offset[i, 1]
            g[6 + k] += value * offset[i, 2]
            for c in range(3):
                g_vertices[corners[i, c], k] += barycentric[i, c] * value
    for u in range(used.shape[0]):
        dx, dy, dz, wx, wy, wz = sides(vertices, used, u)
        ex, ey, ez, one_over_edge = unit(dx, dy, dz)
        nx, ny, nz, one_over_normal = unit(*cross(ex, ey, ez, wx, wy, wz))
        g = g_frames[u]
        ax, ay, az = cross(nx, ny, nz, g[6], g[7], g[8])  # t = e x n
        bx, by, bz = cross(g[6], g[7], g[8], ex, ey, ez)
        gex, gey, gez = g[0] + ax, g[1] + ay, g[2] + az
        gnx, gny, gnz = g[3] + bx, g[4] + by, g[5] + bz
        along = gnx * nx + gny * ny + gnz * nz
        mx, my, mz = (gnx - along * nx), (gny - along * ny), (gnz - along * nz)
        mx, my, mz = mx * one_over_normal, my * one_over_normal, mz * one_over_normal  # of e x w
        ax, ay, az = cross(wx, wy, wz, mx, my, mz)
        gex, gey, gez = gex + ax, gey + ay, gez + az
        cx, cy, cz = cross(mx, my, mz, ex, ey, ez)
        along = gex * ex + gey * ey + gez * ez
        bx, by, bz = (gex - along * ex), (gey - along * ey), (gez - along * ez)
        bx, by, bz = bx * one_over_edge, by * one_over_edge, bz * one_over_edge
        first, second, third = used[u, 0], used[u, 1], used[u, 2]
        g_vertices[second, 0] += bx
        g_vertices[second, 1] += by
        g_vertices[second, 2] += bz
        g_vertices[third, 0] += cx
        g_vertices[third, 1] += cy
        g_vertices[third, 2] += cz
        g_vertices[first, 0] -= bx + cx
        g_vertices[first, 1] -= by + cy
        g_vertices[first, 2] -= bz + cz


def try_out() -> None:
    """Run every kernel once, on one texel of one triangle: compiles what is not cached, and shows whether it works."""
    one = np.int64
    vertices, used = np.eye(3, dtype=np.float32), np.arange(3, dtype=one)[None]
    frames, growth, area = np.empty((1, FRAME), np.float32), np.empty(1, np.float32), np.ones(1, np.float32)
    texel, quaternion = np.zeros((1, 3), np.float32), np.ones((1, 4), np.float32)
    surface = (used, np.full((1, 3), 1 / 3, np.float32), np.zeros(1, one))
    means, quats, scales = (np.empty((1, width), np.float32) for width in (3, 4, 3))
    pose_triangles(vertices, used, area, f32(0.5), f32(2.0), frames, growth)
    pose_texels(vertices, *surface, frames, growth, texel, texel, quaternion, means, quats, scales)
    found = [np.zeros((1, width), np.float32) for width in (3, 3, 4)]
    texel_gradients(surface[2], frames, quaternion, scales, means, quats, scales, *found)
    of_vertices, scratch = np.zeros((3, 3), np.float32), np.empty((1, 9), np.float32)
    vertex_gradients(vertices, used, *surface, frames, texel, means, scratch, of_vertices)
    if not np.allclose(means, 1 / 3, atol=1e-5) or not all(np.isfinite(g).all() for g in (*found, of_vertices)):
        raise RuntimeError(f"the trial texel is wrong (at {means.tolist()})")
