"""The building blocks that the three face networks share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding for even inputs: stride 2 puts the larger half right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        total = kernel - stride if stride > 1 else kernel - 1
        before, after = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
        symmetric = before == after
        super().__init__(inputs, outputs, kernel, stride, padding=before if symmetric else 0, groups=groups, bias=True)
        self._pad = None if symmetric else (before, after, before, after)

    def forward(self, input: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride], H and W even where stride is 2."""
        return super().forward(input if self._pad is None else F.pad(input, self._pad))


class ResidualBlock(nn.Module):
    """Depthwise 3x3, pointwise 1x1, and a skip that pools and pads with zero channels where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, prelu: bool = True):
        super().__init__()
        self.depthwise = SameConv(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = SameConv(inputs, outputs)
        self.activation = nn.PReLU(outputs) if prelu else nn.ReLU()
        self._stride, self._extra = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        skip = F.max_pool2d(x, 2) if self._stride == 2 else x
        if self._extra:
            skip = F.pad(skip, (0, 0, 0, 0, 0, self._extra))
        return self.activation(skip + self.pointwise(self.depthwise(x)))
