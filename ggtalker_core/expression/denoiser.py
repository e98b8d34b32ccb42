"""The conditional diffusion transformer: noisy mouth channels + sound + style + step -> clean mouth channels.

As in GGTalker's A2E module: x0-prediction, the step both as a token and as FiLM modulation, a global and a per-frame
audio condition, a style token, classifier-free guidance. Attention to the sound is aligned to the same frame
(DiffPoseTalk's mask of width 1), which makes it a projection of that frame's audio, added in every layer. What is
predicted is the offset from the regression, so the network starts as the regression and learns what that averages away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import PriorConfig
from .style import StyleEncoder

CONDITION_WIDTH = 64  # of step, style and global sound together


@dataclass(frozen=True)
class Sound:
    """The condition of one window, from the trunk."""

    channels: Tensor  # [B, T, 13] z-scored regression
    closure: Tensor  # [B, T] logit
    hidden: Tensor  # [B, T, trunk_width]
    style: Tensor  # [B, style_width] token (style.py); [B, 4] manner in networks without tokens

    def repeated(self, times: int) -> Sound:
        """The same condition `times` times along the batch."""
        return Sound(
            *(v.repeat(times, *[1] * (v.ndim - 1)) for v in (self.channels, self.closure, self.hidden, self.style))
        )


def step_waves(step: Tensor, width: int = 64) -> Tensor:
    """Sinusoidal embedding of the noise step, [B] -> [B, width]."""
    rates = torch.exp(-math.log(1e4) * torch.arange(width // 2, device=step.device) / (width // 2))
    angles = step[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class DenoiserLayer(nn.Module):
    """FiLM-modulated self-attention, aligned audio, FiLM-modulated feed-forward."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.audio = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.film = nn.Linear(CONDITION_WIDTH, 4 * width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, audio: Tensor, condition: Tensor) -> Tensor:
        """x [B, K + T, width], audio alike (nothing at the K tokens), condition [B, CONDITION_WIDTH]."""
        b, t, width = x.shape
        scale1, shift1, scale2, shift2 = self.film(functional.silu(condition))[:, None].chunk(4, -1)
        y = self.attention_norm(x) * (1 + scale1) + shift1
        q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in self.qkv(y).chunk(3, -1))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, width)
        x = x + self.merge(mixed) + self.audio(audio)
        y = self.feed_norm(x) * (1 + scale2) + shift2
        return x + self.narrow(functional.gelu(self.widen(y)))


class Denoiser(nn.Module):
    """Predicts clean channels of `previous` known and up to `window` new frames."""

    def __init__(self, config: PriorConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.motion = nn.Linear(config.channels + 1, width)
        self.audio = nn.Linear(config.trunk_width + config.channels + 1, width)
        self.no_audio = nn.Parameter(torch.zeros(width))
        self.tokens = 2 if config.style_width else 1  # the step, the style
        self.positions = nn.Parameter(torch.randn(self.tokens + config.previous + config.window, width) * 0.02)
        self.step = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.step_condition = nn.Linear(width, CONDITION_WIDTH)
        if config.style_width:
            self.styles = StyleEncoder(config)
            self.style_token = nn.Linear(config.style_width, width)
            self.style_condition = nn.Linear(config.style_width, CONDITION_WIDTH)
        else:
            self.manner = nn.Linear(config.manner_width, CONDITION_WIDTH)
        self.global_audio = nn.Linear(width, CONDITION_WIDTH)
        self.layers = nn.ModuleList([DenoiserLayer(width, config.heads) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, noisy: Tensor, known: Tensor, sound: Sound, step: Tensor, deaf: Tensor) -> Tensor:
        """Clean channels [B, T, 13].

        noisy [B, T, 13] (clean where known), known [B, T] 0 or 1, step [B], deaf [B] bool: the sound is dropped.
        """
        audio = self.audio(torch.cat([sound.hidden, sound.channels, sound.closure[..., None] / 4], -1))
        audio = torch.where(deaf[:, None, None], self.no_audio, audio)
        token = self.step(step_waves(step))
        condition = self.step_condition(token) + self.global_audio(audio.mean(1))
        tokens = [token[:, None]]
        if self.config.style_width:
            condition = condition + self.style_condition(sound.style)
            tokens.append(self.style_token(sound.style)[:, None])
        else:
            condition = condition + torch.where(deaf[:, None], 0.0, 1.0) * self.manner(sound.style)
        x = torch.cat([*tokens, self.motion(torch.cat([noisy, known[..., None]], -1))], 1)
        x = x + self.positions[: x.shape[1]]
        audio = functional.pad(audio, (0, 0, self.tokens, 0))
        for layer in self.layers:
            x = layer(x, audio, condition)
        start = torch.where(deaf[:, None, None], torch.zeros_like(sound.channels), sound.channels)
        return start + self.leave(self.norm(x[:, self.tokens :]))

    def plain_style(self, manner: Tensor | None) -> Tensor:
        """The condition [1, S] of a manner [4], by default of the plain one."""
        given = torch.zeros(1, self.config.manner_width) if manner is None else manner.reshape(1, -1)
        return self.styles.of_manner(given) if self.config.style_width else given
