"""What `losses.MapPrior.loss` says in torch, with its gradient, in two passes; and `limits.Limits.hold` in one."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false
# (kernels: their types are numba's, told where `try_out` and `prior_compiled` call them)
from __future__ import annotations

import math

import numpy as np

from ...jit import jit

f32 = np.float32
_ZERO, _ONE = np.float32(0), np.float32(1)


@jit
def texel_terms(
    offset, log_scale, opacity, color, offset_max, scale_max, opaque, first_color, slack,
    of_offset, of_scale, of_ratio, ratio_free, of_opaque, opaque_at_least, of_stray,
    g_offset, g_log_scale, g_opacity, g_color,
):  # fmt: skip
    """The terms of single texels: their sum is returned, their gradients are written (g_color is added to).

    of_...: the weight of each term for one texel.
    """
    total = 0.0
    for i in range(offset.shape[0]):
        x, y, z = offset[i, 0], offset[i, 1], offset[i, 2]
        length = math.sqrt(x * x + y * y + z * z)
        over = length - offset_max[i]
        pull = _ZERO
        if over > 0:
            total += of_offset * over
            pull = of_offset / length
        g_offset[i, 0], g_offset[i, 1], g_offset[i, 2] = pull * x, pull * y, pull * z
        high = max(log_scale[i, 0], log_scale[i, 1], log_scale[i, 2])
        low = min(log_scale[i, 0], log_scale[i, 1], log_scale[i, 2])
        over = high - low - ratio_free
        highest, lowest = _ZERO, _ZERO  # how many share each extreme, and its gradient
        for k in range(3):
            highest += _ONE if log_scale[i, k] == high else _ZERO
            lowest += _ONE if log_scale[i, k] == low else _ZERO
        if over > 0:
            total += of_ratio * over
        for k in range(3):
            gradient = _ZERO
            if over > 0 and log_scale[i, k] == high:
                gradient += of_ratio / highest
            if over > 0 and log_scale[i, k] == low:
                gradient -= of_ratio / lowest
            scale = math.exp(log_scale[i, k])
            if scale > scale_max[i]:
                total += of_scale * (scale - scale_max[i])
                gradient += of_scale * scale
            g_log_scale[i, k] = gradient
        cover = _ONE / (_ONE + math.exp(-opacity[i]))
        lacking = opaque_at_least - cover
        g_opacity[i] = _ZERO
        if lacking > 0:
            total += of_opaque * lacking * opaque[i]
            g_opacity[i] = -of_opaque * opaque[i] * cover * (_ONE - cover)
        most, channel, sign = f32(-1), 0, _ONE
        for k in range(3):
            apart = color[i, k] - first_color[i, k]
            if abs(apart) > most:
                most, channel, sign = abs(apart), k, _ONE if apart > 0 else -_ONE
        if most > slack[i]:
            total += of_stray * (most - slack[i])
            g_color[i, channel] += sign * of_stray
    return total


@jit
def pair_terms(
    first, second, rough, level, hue, grey, offset, log_scale, opacity, color, g_offset, g_log_scale, g_opacity, g_color
):  # fmt: skip
    """The weighted squared differences of the pairs `first`, `second` [P]; gradients are added to.

    rough [P] weighs colour, offset in centimetres, 0.3 log scale and 0.1 opacity; level [P] the offset along the normal
    in centimetres; hue [P] the colour without its brightness, by the shares `grey` [3].
    """
    total = 0.0
    per_cm, of_scale, of_opacity = f32(1e4), f32(0.09), f32(0.01)  # squares of 100, 0.3 and 0.1
    for p in range(first.shape[0]):
        a, b, w = first[p], second[p], rough[p]
        red, green, blue = color[b, 0] - color[a, 0], color[b, 1] - color[a, 1], color[b, 2] - color[a, 2]
        brightness = grey[0] * red + grey[1] * green + grey[2] * blue
        plain = (red - brightness) + (green - brightness) + (blue - brightness)
        for k in range(3):
            apart = color[b, k] - color[a, k]
            tint = apart - brightness
            total += w * apart * apart + hue[p] * tint * tint
            # brightness holds all three channels
            gradient = f32(2) * (w * apart + hue[p] * (tint - grey[k] * plain))
            g_color[b, k] += gradient
            g_color[a, k] -= gradient
            apart = offset[b, k] - offset[a, k]
            weight = per_cm * (w + level[p] if k == 1 else w)
            total += weight * apart * apart
            gradient = f32(2) * weight * apart
            g_offset[b, k] += gradient
            g_offset[a, k] -= gradient
            apart = log_scale[b, k] - log_scale[a, k]
            total += w * of_scale * apart * apart
            gradient = f32(2) * w * of_scale * apart
            g_log_scale[b, k] += gradient
            g_log_scale[a, k] -= gradient
        apart = opacity[b] - opacity[a]
        total += w * of_opacity * apart * apart
        gradient = f32(2) * w * of_opacity * apart
        g_opacity[b] += gradient
        g_opacity[a] -= gradient
    return total


@jit
def hold(log_scale, quaternion, least, most, skin, most_sine):
    """Put log scales [N, 3] and quaternions [N, 4] back inside their limits, in place.

    least [N, 3], most [N]; on `skin` [N] discs are thinnest along the normal (axis 1), which leans by less than the
    angle with the half sine `most_sine`.
    """
    for i in range(log_scale.shape[0]):
        for k in range(3):
            log_scale[i, k] = min(max(log_scale[i, k], least[i, k]), most[i])
        if not skin[i]:
            continue
        log_scale[i, 1] = min(log_scale[i, 1], log_scale[i, 0], log_scale[i, 2])
        w, x, y, z = quaternion[i, 0], quaternion[i, 1], quaternion[i, 2], quaternion[i, 3]
        inverse = _ONE / max(math.sqrt(w * w + x * x + y * y + z * z), f32(1e-12))
        lean = math.sqrt(x * x + z * z) * inverse
        if lean <= most_sine:
            continue
        shrink = inverse * most_sine / lean
        turn = math.sqrt(w * w + y * y) * inverse
        rest = math.sqrt(_ONE - most_sine * most_sine)
        if turn > f32(1e-6):
            quaternion[i, 0], quaternion[i, 2] = w * inverse / turn * rest, y * inverse / turn * rest
        else:
            quaternion[i, 0], quaternion[i, 2] = rest, _ZERO
        quaternion[i, 1], quaternion[i, 3] = x * shrink, z * shrink


def try_out() -> None:
    """Run every kernel once, on two texels: compiles what is not cached, and shows whether it works."""
    two, triple, single = np.zeros(2, np.float32), np.zeros((2, 3), np.float32), np.float32
    values, limits = (triple, triple, two, triple), (two, two, two, triple, two)
    gradients = [np.zeros_like(value) for value in values]
    total = texel_terms(*values, *limits, *(single(0.1),) * 7, *gradients)
    pair = np.zeros(1, np.int64), np.ones(1, np.int64), *(np.ones(1, np.float32),) * 3
    total += pair_terms(*pair, np.full(3, 1 / 3, np.float32), *values, *gradients)
    hold(triple.copy(), np.ones((2, 4), np.float32), triple, two, two > 0, single(0.1))
    if not abs(total - 0.6) < 1e-5:  # of six scales that are too large by one each
        raise RuntimeError(f"the trial texels are wrong ({total})")
