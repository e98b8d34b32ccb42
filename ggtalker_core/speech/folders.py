"""Speech encoders from a folder of your own: HuBERT, wav2vec 2.0, WavLM, Whisper, through transformers.

The paper trained on wav2vec 2.0. Such a folder (config.json, model.safetensors, preprocessor_config.json) is never
downloaded here. A prior only understands the features it was trained on: the feature id tells them apart.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import IncompatibleFileError, MissingWeightsError
from ..optional import require

KINDS = ("hubert", "wav2vec2", "wavlm", "whisper")
RATE = 50  # states per second of all of them
SAMPLE_RATE = 16000
HOP = SAMPLE_RATE // RATE
_CONV_PAD = 40  # samples at each end that make the convolutions give exactly one state per hop
_WINDOW_S, _MARGIN_S = 16.0, 1.0


@dataclass(frozen=True)
class FolderEncoder:
    """An encoder of transformers, its layer, and what identifies its features."""

    model: Any  # transformers' PreTrainedModel, in eval mode
    kind: str  # one of KINDS
    layer: int  # hidden state that is taken; -1 the last
    width: int
    normalise: bool  # zero mean and unit variance per window, as the preprocessor says
    feature_id: str

    @torch.no_grad()
    def encode(self, waveform: Tensor) -> Tensor:
        """Waveform [S] at 16 kHz -> states [ceil(S / 320), width] at 50 Hz, in windows whose ends are thrown away."""
        frames = -(-waveform.shape[0] // HOP)
        whisper = self.kind == "whisper"
        window = int(self.model.config.max_source_positions) if whisper else round(_WINDOW_S * RATE)
        margin = min(round(_MARGIN_S * RATE), window // 4)
        width = window if whisper else min(window, frames + 2 * margin)
        out: list[Tensor] = []
        for start in range(-margin, max(frames - margin, 1 - margin), width - 2 * margin):
            first, last = start * HOP, (start + width) * HOP
            part = waveform[max(0, first) : max(0, min(last, waveform.shape[0]))]
            missing = last - max(first, 0) - part.shape[0]
            part = torch.nn.functional.pad(part, (max(0, -first), max(0, missing)))
            out.append(self._window(part)[margin : width - margin])
        return torch.cat(out)[:frames]

    def _window(self, waveform: Tensor) -> Tensor:
        if self.kind == "whisper":
            from .config import MelConfig
            from .mel import log_mel

            cells = log_mel(waveform[None], MelConfig(bands=int(self.model.config.num_mel_bins)))
            states = self.model.encoder(cells, output_hidden_states=True).hidden_states
            return states[self.layer][0].float()
        if self.normalise:
            waveform = (waveform - waveform.mean()) / (waveform.var() + 1e-7).sqrt()
        padded = torch.nn.functional.pad(waveform, (_CONV_PAD, _CONV_PAD))
        return self.model(padded[None], output_hidden_states=True).hidden_states[self.layer][0].float()


def load_folder_encoder(folder: Path, layer: int = -1) -> FolderEncoder:
    """The encoder of a transformers folder on this machine; `layer` is the hidden state to take (-1: the last).

    Raises MissingWeightsError (no such folder or file, pickled weights only), IncompatibleFileError (another kind of
    model, no such layer, damaged), MissingPackageError.
    """
    config_file, weights = folder / "config.json", folder / "model.safetensors"
    for path in (config_file, weights):
        if not path.is_file():
            raise MissingWeightsError(
                f"{path} is missing. Put a HuBERT, wav2vec 2.0, WavLM or Whisper folder there: config.json, "
                f"model.safetensors and preprocessor_config.json. Pickled weights (.bin) are not read."
            )
    try:
        config = json.loads(config_file.read_text(encoding="utf8"))
        kind = str(config.get("model_type"))
    except (ValueError, AttributeError) as error:
        raise IncompatibleFileError(f"{config_file} is not the configuration of a transformers model.") from error
    if kind not in KINDS:
        raise IncompatibleFileError(f"{folder} holds a model of type {kind!r}; known are {', '.join(KINDS)}.")
    transformers = require("transformers", purpose="An own speech encoder")
    try:
        model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except Exception as error:  # whatever transformers thinks of a damaged folder
        raise IncompatibleFileError(f"{folder} could not be loaded: {type(error).__name__}: {error}") from error
    count = int(getattr(model.config, "encoder_layers" if kind == "whisper" else "num_hidden_layers"))
    if not -count - 1 <= layer <= count:
        raise IncompatibleFileError(f"{folder} has {count} layers; layer {layer} is not among them.")
    width = int(model.config.d_model if kind == "whisper" else model.config.hidden_size)
    prepare = folder / "preprocessor_config.json"
    normalise = bool(json.loads(prepare.read_text(encoding="utf8")).get("do_normalize")) if prepare.is_file() else False
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    taken = layer if layer >= 0 else count + 1 + layer
    feature_id = f"{kind}-{width}-layer{taken}-{digest}"
    return FolderEncoder(model.eval().requires_grad_(False), kind, layer, width, normalise, feature_id)
