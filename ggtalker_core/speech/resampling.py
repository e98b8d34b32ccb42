"""Sample-rate conversion with a windowed sinc, in plain torch.

Same kernel as torchaudio's default (`sinc_interp_hann`, lowpass_filter_width 6, rolloff 0.99): torchaudio itself is not
needed, because beside a CPU build of torch its published wheels do not import.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor

ZERO_CROSSINGS = 6  # half width of the kernel, in zero crossings of the sinc
ROLLOFF = 0.99  # cut-off below the Nyquist frequency of the slower rate
CHUNK = 1 << 15  # output samples at once: bounds the memory of the gathered taps


def polyphase_kernel(from_hz: int, to_hz: int) -> tuple[Tensor, int]:
    """The taps of every output phase.

    Rates must be reduced by their common divisor. Returns (taps [to_hz, K] float32, offset): output sample n is the dot
    product of taps[n mod to_hz] with the inputs floor(n from_hz / to_hz) + offset + (0 .. K-1).
    """
    import torch

    base = min(from_hz, to_hz) * ROLLOFF
    half = math.ceil(ZERO_CROSSINGS * from_hz / base)
    phase = (torch.arange(to_hz, dtype=torch.int64) * from_hz) % to_hz
    taps = torch.arange(-half, half + 2, dtype=torch.float64)
    t = (taps[None] / from_hz - phase[:, None].double() / (to_hz * from_hz)) * base
    t = t.clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(t * math.pi / ZERO_CROSSINGS / 2) ** 2
    return (torch.sinc(t) * window * base / from_hz).float(), -half


def resample(waveform: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Convert `waveform` [..., S] from one rate to another; returns [..., ceil(S to_hz / from_hz)] float32.

    Raises InvalidInputError for a rate that is not positive.
    """
    import torch

    if from_hz <= 0 or to_hz <= 0:
        raise InvalidInputError(f"Sample rates must be positive, got {from_hz} Hz and {to_hz} Hz.")
    waveform = waveform.float()
    if from_hz == to_hz:
        return waveform
    divisor = math.gcd(from_hz, to_hz)
    source, target = from_hz // divisor, to_hz // divisor
    kernel, offset = polyphase_kernel(source, target)
    kernel = kernel.to(waveform.device)
    width = kernel.shape[1]
    lead, flat = waveform.shape[:-1], waveform.reshape(-1, waveform.shape[-1])
    count = -(-flat.shape[1] * target // source)
    padded = torch.nn.functional.pad(flat, (-offset, width))
    windows = padded.unfold(1, width, 1)  # [C, S', K], a view
    parts: list[Tensor] = []
    for first in range(0, count, CHUNK):
        n = torch.arange(first, min(first + CHUNK, count), device=flat.device)
        parts.append((windows[:, n * source // target] * kernel[n % target]).sum(-1))
    out = torch.cat(parts, 1) if parts else flat.new_zeros(flat.shape[0], 0)
    return out.reshape(*lead, count)
