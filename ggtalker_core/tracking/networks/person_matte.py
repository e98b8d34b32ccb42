"""Selfie segmentation: how much of each pixel is person, 256x256, a small MobileNetV3 with a gated decoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import SameConv


def _mean(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


class _Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int, squeezed: int):
        super().__init__()
        self.down, self.up = SameConv(width, squeezed), SameConv(squeezed, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(F.relu(self.down(_mean(x)))).sigmoid()  # [B, width, 1, 1]


class _Inverted(nn.Module):
    """Expand, depthwise, (gate,) project; with a residual where the shape stays."""

    def __init__(self, inputs: int, wide: int, outputs: int, kernel: int, stride: int, gate: int | None):
        super().__init__()
        self.expand = SameConv(inputs, wide)
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.gate = None if gate is None else _Gate(wide, gate)
        self.project = SameConv(wide, outputs)
        self.activation = nn.Hardswish() if kernel == 5 else nn.ReLU()
        self._residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.depthwise(self.activation(self.expand(x))))
        if self.gate is not None:
            y = y * self.gate(y)
        y = self.project(y)
        return x + y if self._residual else y


class _Decoder(nn.Module):
    """Doubles the size, then adds the encoder's features of that size as far as the gate lets them."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.lift = SameConv(inputs, width)
        self.gate = _Gate(width, width)
        self.mix = SameConv(width, width)
        self.depthwise = SameConv(width, width, 3, groups=width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        up = self.lift(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        y = F.relu(self.mix(skip * self.gate(skip + up) + up))
        return y + F.relu(self.depthwise(y))


class PersonMatte(nn.Module):
    """[B, 3, 256, 256] in [0, 1] (the whole frame, squeezed) -> person [B, 1, 256, 256] in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv(3, 16, 3, 2), nn.Hardswish())
        self.to_64 = _Inverted(16, 16, 16, 3, 2, 8)
        self.to_32 = nn.Sequential(_Inverted(16, 72, 24, 3, 2, None), _Inverted(24, 88, 24, 3, 1, None))
        self.to_16 = nn.Sequential(
            _Inverted(24, 96, 32, 5, 2, 24), _Inverted(32, 128, 32, 5, 1, 32), _Inverted(32, 128, 32, 5, 1, 32),
            _Inverted(32, 96, 32, 5, 1, 24), _Inverted(32, 96, 32, 5, 1, 24),
        )  # fmt: skip
        self.context, self.context_gate = SameConv(32, 128), SameConv(32, 128)
        self.from_16, self.from_32, self.from_64 = _Decoder(128, 24), _Decoder(24, 16), _Decoder(16, 16)
        self.last = nn.ConvTranspose2d(16, 1, 2, 2)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        x128 = self.stem(image)
        x64 = self.to_64(x128)
        x32 = self.to_32(x64)
        x16 = self.to_16(x32)
        y = F.relu(self.context(x16)) * self.context_gate(_mean(x16)).sigmoid()
        y = self.from_64(self.from_32(self.from_16(y, x32), x64), x128)
        return self.last(y).sigmoid()
