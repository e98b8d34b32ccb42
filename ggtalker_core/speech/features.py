"""Sound in any form -> Whisper states at any frame rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError, LimitExceededError
from ..progress import Progress, silent
from ..types import AudioTrack, frame_count
from .config import SpeechConfig
from .folders import FolderEncoder
from .resampling import resample
from .weights import BUNDLED_FEATURES, load_encoder

if TYPE_CHECKING:
    from .encoder import SpeechEncoder


@dataclass(frozen=True)
class SpeechFeatures:
    """What the encoder heard in each video frame."""

    values: Tensor  # [T, 2 * width] float32: the two encoder states (50 Hz) that a video frame spans
    fps: Fraction
    level_db: Tensor  # [T] loudness of the frame's sound (peak, dB below full scale; -120 for digital silence)
    feature_id: str = BUNDLED_FEATURES  # which encoder heard it; a prior understands only one


def prepare(audio: AudioTrack, config: SpeechConfig | None = None) -> tuple[Tensor, Tensor]:
    """The sound as the encoder wants it, and as loud as it came.

    Returns two [S] float32 at config.mel.sample_rate: the mean of the channels, scaled to a common level, and the
    unscaled one. Raises InvalidInputError for empty or non-finite sound, LimitExceededError for too much of it.
    """
    config = config or SpeechConfig()
    waveform = audio.waveform
    if waveform.numel() == 0:
        raise InvalidInputError("The audio is empty (no samples). Give a sound of at least one sample.")
    seconds = float(audio.duration_s)
    if seconds > config.max_seconds:
        raise LimitExceededError(
            f"The audio lasts {seconds:.0f} s, more than the limit of {config.max_seconds:.0f} s. Cut it into parts."
        )
    if not bool(torch.isfinite(waveform).all()):
        bad = int((~torch.isfinite(waveform)).sum())
        raise InvalidInputError(f"The audio holds {bad} samples that are NaN or infinite. Export it again.")
    mono = resample(waveform.detach().float().cpu().mean(0), audio.sample_rate, config.mel.sample_rate)
    rank = min(len(mono) - 1, int(0.999 * len(mono)))
    loud = float(np.partition(mono.abs().numpy(), rank)[rank])  # torch's sort would take six times the sound's memory
    return mono * min(config.level / max(loud, 1e-9), config.max_gain), mono


def encode_waveform(
    waveform: Tensor,  # [S] at 16 kHz
    encoder: SpeechEncoder,
    *,
    progress: Progress = silent,
) -> Tensor:
    """Encoder states [ceil(S / 320), width] at 50 Hz, in windows whose ends are thrown away.

    A sound shorter than a window gets a window of its own length, so a short clip costs little.
    """
    config = encoder.config
    step = 2 * config.mel.hop  # samples per encoder frame
    frames = -(-waveform.shape[0] // step)
    margin = round(config.margin_s * config.frame_rate)
    width = min(round(config.window_s * config.frame_rate), frames + 2 * margin)
    starts = list(range(-margin, max(frames - margin, 1 - margin), width - 2 * margin))
    tail = (starts[-1] + width) * step - waveform.shape[0]
    padded = torch.nn.functional.pad(waveform, (margin * step, max(tail, 0)))
    parts: list[Tensor] = []
    for i in range(0, len(starts), config.batch):
        windows = [padded[(a + margin) * step : (a + margin + width) * step] for a in starts[i : i + config.batch]]
        states = encoder(torch.stack(windows))
        parts.append(states[:, margin : width - margin].reshape(-1, config.width))
        progress(min(i + config.batch, len(starts)), len(starts), "listening")
    return torch.cat(parts)[:frames]


def at_frame_rate(states: Tensor, rate: int, fps: Fraction, n_frames: int) -> Tensor:
    """Pairs of states [n_frames, 2 * width] half a 25-fps frame apart around every frame centre, linearly interpolated.

    states [N, width] at `rate` per second. At 25 fps these are simply the states 2 i and 2 i + 1.
    """
    centre = (torch.arange(n_frames, dtype=torch.float64) + 0.5) / float(fps) * rate - 1.0
    last = states.shape[0] - 1
    pair: list[Tensor] = []
    for position in (centre, centre + 1.0):
        p = position.clamp(0, last)
        low = p.floor().long()
        high = (low + 1).clamp(max=last)
        mix = (p - low).float()[:, None]
        pair.append(torch.lerp(states[low], states[high], mix))
    return torch.cat(pair, 1)


def frame_level_db(waveform: Tensor, sample_rate: int, fps: Fraction, n_frames: int) -> Tensor:
    """Peak of the sound within each frame, [n_frames] in dB below full scale, never under -120."""
    edges = [math.floor(Fraction(i) / fps * sample_rate) for i in range(n_frames + 1)]
    longest = max(b - a for a, b in zip(edges, edges[1:]))
    padded = torch.nn.functional.pad(waveform.abs(), (0, max(0, edges[-1] + longest - waveform.shape[0])))
    peaks = padded.unfold(0, longest, 1)[torch.tensor(edges[:-1])].amax(1)
    return 20 * torch.log10(peaks.clamp(min=1e-6))


def encode_speech(
    audio: AudioTrack,
    fps: Fraction | int = 25,
    n_frames: int | None = None,
    *,
    encoder: SpeechEncoder | FolderEncoder | None = None,
    progress: Progress = silent,
) -> SpeechFeatures:
    """Speech features of `audio` for every video frame.

    fps: any positive frame rate. n_frames: how many frames (default: ceil(seconds * fps)); frames after the end of the
    sound repeat its last state. encoder: default the bundled one; folders.py loads others. Any sample rate, channel
    count and length from one sample up.
    Raises InvalidInputError (empty, NaN, bad fps), LimitExceededError (too long), MissingWeightsError.
    """
    fps = Fraction(fps)
    if not 0 < fps <= 240:
        raise InvalidInputError(f"fps must be in (0, 240], got {fps}.")
    own = encoder if isinstance(encoder, FolderEncoder) else None
    bundled = load_encoder() if encoder is None or isinstance(encoder, FolderEncoder) else encoder
    config = SpeechConfig() if own is not None else bundled.config
    scaled, heard = prepare(audio, config)
    count = frame_count(audio.duration_s, fps) if n_frames is None else n_frames
    if count < 1:
        raise InvalidInputError(f"At least one frame is needed, got n_frames {count}.")
    level = frame_level_db(heard, config.mel.sample_rate, fps, count)
    if own is not None:
        states, feature_id = own.encode(scaled), own.feature_id
    else:
        states, feature_id = encode_waveform(scaled, bundled, progress=progress), BUNDLED_FEATURES
    return SpeechFeatures(at_frame_rate(states, config.frame_rate, fps, count), fps, level, feature_id)
