"""Whisper's log-mel spectrogram in plain torch, equal to transformers' WhisperFeatureExtractor."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import MelConfig

FLOOR = 1e-10  # power below which a cell counts as empty


def _to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1e-9) / 1000) / np.log(6.4))


def _to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) * (mel - 15) / 27))


@lru_cache(maxsize=4)
def mel_filters(config: MelConfig) -> Tensor:
    """Triangular filters of unit area (Slaney), [bands, n_fft / 2 + 1] float32."""
    nyquist = config.sample_rate / 2
    bins = np.linspace(0, nyquist, config.n_fft // 2 + 1)
    edges = _to_hz(np.linspace(_to_mel(np.array(0.0)), _to_mel(np.array(nyquist)), config.bands + 2))
    width, slope = np.diff(edges), edges[:, None] - bins[None]
    weights = np.maximum(0, np.minimum(-slope[:-2] / width[:-1, None], slope[2:] / width[1:, None]))
    return torch.tensor(weights * (2 / (edges[2:] - edges[:-2]))[:, None], dtype=torch.float32)


def log_mel(waveform: Tensor, config: MelConfig | None = None) -> Tensor:
    """Log-mel cells of windows of sound.

    waveform [B, S] float32 at config.sample_rate, S a multiple of the hop and more than half of n_fft. Returns
    [B, bands, S / hop], scaled as Whisper wants it: the loudest cell of each window sets the floor, 8 decades below.
    Source: Radford et al. 2022, section 2.2.
    """
    config = config or MelConfig()
    window = torch.hann_window(config.n_fft, device=waveform.device)
    spectrum = torch.stft(waveform, config.n_fft, config.hop, window=window, return_complex=True)
    power = spectrum[..., :-1].abs() ** 2
    cells = torch.clamp(mel_filters(config).to(waveform.device) @ power, min=FLOOR).log10()
    floor = cells.amax((-1, -2), keepdim=True) - config.dynamic_range
    return (torch.maximum(cells, floor) + 4.0) / 4.0
