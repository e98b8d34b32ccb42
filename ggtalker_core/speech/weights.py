"""Weight files: checked against a known sha256 and their own metadata; random or damaged weights are refused.

int8 storage: a matrix `NAME` is kept as `NAME.int8` [rows, ...] with one float16 `NAME.scale` per row; the rest is
float16 under its own name.
"""

from __future__ import annotations

import hashlib
import json
import struct
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingWeightsError
from .config import SpeechConfig

if TYPE_CHECKING:
    from torch import Tensor

    from .encoder import SpeechEncoder

ASSETS = Path(__file__).resolve().parent.parent / "assets"
ENCODER_FILE = ASSETS / "speech_whisper_base_l3.safetensors"
ENCODER_FORMAT = "ggtalker.speech-encoder"
ENCODER_SHA256 = "797747a054b5adc417ba0bb0b8b16fc721c95b53bd716d426ace76519375ebf7"
BUNDLED_FEATURES = f"whisper-base-layer3-int8-{ENCODER_SHA256[:12]}"
MAX_HEADER_BYTES = 1 << 20


def check_bytes(path: Path, expected_sha256: str | None) -> str:
    """The sha256 of a weight file. Raises MissingWeightsError when the file is missing or is another one."""
    if not path.is_file():
        raise MissingWeightsError(f"The weight file {path.name} is missing from {path.parent}. Reinstall the pack.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected_sha256 is not None and digest != expected_sha256:
        raise MissingWeightsError(
            f"The weight file {path} is damaged or another version: sha256 {digest}, expected {expected_sha256}. "
            f"Reinstall the pack."
        )
    return digest


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, without its tensors. Raises MissingWeightsError when it is none."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER_BYTES + 1
        if length > MAX_HEADER_BYTES:
            raise MissingWeightsError(f"{path} is not a safetensors file of ours.")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise MissingWeightsError(f"{path} is not a safetensors file of ours: {error}.") from error
    return dict(header.get("__metadata__", {}))


def read_weights(path: Path, format_name: str, sha256: str | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (as float32, int8 matrices widened) and metadata of one of our weight files.

    Raises MissingWeightsError unless the checksum (where one is known), the format and the training stamp are right.
    """
    from safetensors.torch import load_file

    check_bytes(path, sha256)
    metadata = read_metadata(path)
    if metadata.get("format") != format_name or not metadata.get("trained"):
        raise MissingWeightsError(
            f"{path} does not state the format '{format_name}' and how it was trained "
            f"(format {metadata.get('format')!r}, trained {metadata.get('trained')!r}); untrained weights are refused."
        )
    return dequantise(load_file(path)), metadata


def quantise(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices to int8 with one scale per row, vectors to float16."""
    import torch

    out: dict[str, Tensor] = {}
    for name, w in state.items():
        if w.ndim < 2:
            out[name] = w.half().contiguous()
            continue
        rows = w.float().reshape(w.shape[0], -1)
        scale = (rows.abs().amax(1) / 127).clamp(min=1e-8).half()
        values = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        out[name + ".int8"], out[name + ".scale"] = values.reshape(w.shape).contiguous(), scale
    return out


def dequantise(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The float32 tensors behind `quantise`; tensors that were not quantised are only widened."""
    out: dict[str, Tensor] = {}
    for name, w in stored.items():
        if name.endswith(".int8"):
            base = name.removesuffix(".int8")
            scale = stored[base + ".scale"].float()
            out[base] = w.float() * scale.reshape(-1, *[1] * (w.ndim - 1))
        elif not name.endswith(".scale") or name.removesuffix(".scale") + ".int8" not in stored:
            out[name] = w.float()
    return out


@lru_cache(maxsize=2)
def load_encoder(path: Path = ENCODER_FILE, sha256: str | None = ENCODER_SHA256) -> SpeechEncoder:
    """The bundled encoder, ready to use; kept in memory (23 MB as float32) after the first call.

    Raises MissingWeightsError for a missing, damaged or foreign file.
    """
    from .encoder import SpeechEncoder

    state, _ = read_weights(path, ENCODER_FORMAT, sha256)
    encoder = SpeechEncoder(SpeechConfig())
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)
