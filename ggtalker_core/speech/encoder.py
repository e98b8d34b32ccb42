"""The first layers of the Whisper-base encoder (OpenAI, MIT): convolutional front and three transformer layers.

What comes out is the raw residual stream after the last kept layer, without a final norm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import SpeechConfig
from .mel import log_mel

MAX_FRAMES = 1500  # 30 s: as far as Whisper's positions were trained


def sinusoids(frames: int, width: int) -> Tensor:
    """Whisper's position table [frames, width]: a plain sinusoid, so it need not be stored."""
    half = width // 2
    rates = torch.exp(-math.log(10000) / (half - 1) * torch.arange(half))
    angles = torch.arange(frames)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each behind a norm (pre-norm transformer)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # Whisper's keys have no bias
        self.value = nn.Linear(width, width)
        self.merge = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        b, t, width = x.shape
        y = self.attention_norm(x)
        q, k, v = (f(y).view(b, t, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, width)
        x = x + self.merge(mixed)
        return x + self.narrow(functional.gelu(self.widen(self.feed_norm(x))))


class SpeechEncoder(nn.Module):
    """Sound at 16 kHz -> states at 50 Hz."""

    positions: Tensor

    def __init__(self, config: SpeechConfig):
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.mel.bands, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList([EncoderLayer(config.width, config.heads) for _ in range(config.layers)])
        self.register_buffer("positions", sinusoids(MAX_FRAMES, config.width), persistent=False)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        """[B, S] at 16 kHz, S a multiple of 320 and at most 30 s -> [B, S / 320, width]."""
        cells = log_mel(waveform, self.config.mel)
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(cells)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return x
