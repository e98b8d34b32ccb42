"""Mel and encoder against transformers; windows; checked weights."""

import dataclasses
import shutil

import pytest
import torch

from ggtalker_core.errors import MissingWeightsError
from ggtalker_core.speech.config import SpeechConfig
from ggtalker_core.speech.encoder import SpeechEncoder, sinusoids
from ggtalker_core.speech.features import encode_waveform
from ggtalker_core.speech.mel import log_mel
from ggtalker_core.speech.weights import ENCODER_FILE, dequantise, load_encoder, quantise

NAMES = (
    ("query", "self_attn.q_proj"), ("key", "self_attn.k_proj"), ("value", "self_attn.v_proj"),
    ("merge", "self_attn.out_proj"), ("widen", "fc1"), ("narrow", "fc2"),
    ("attention_norm", "self_attn_layer_norm"), ("feed_norm", "final_layer_norm"),
)  # fmt: skip


def voice_like(seconds, seed=0):
    """Harmonics with a syllable-like envelope."""
    t = torch.arange(int(16000 * seconds)) / 16000
    x = sum(torch.sin(2 * torch.pi * 120 * k * t) / k for k in range(1, 20))
    envelope = (torch.sin(2 * torch.pi * 4 * t) * 0.5 + 0.5) * (torch.sin(2 * torch.pi * 0.7 * t) > -0.5)
    return 0.1 * x * envelope + 1e-3 * torch.randn(len(t), generator=torch.Generator().manual_seed(seed))


def test_mel_equals_transformers():
    extractor = pytest.importorskip("transformers").WhisperFeatureExtractor()
    for x in (voice_like(30), torch.zeros(480000), 1e-4 * voice_like(30)):
        want = torch.tensor(extractor(x.numpy(), sampling_rate=16000, return_tensors="np").input_features)
        assert float((log_mel(x[None]) - want).abs().max()) < 1e-5


def test_three_layers_equal_transformers():
    pytest.importorskip("transformers")
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    ours = load_encoder()
    config = WhisperConfig(
        d_model=512, encoder_layers=4, encoder_attention_heads=8, encoder_ffn_dim=2048, num_mel_bins=80
    )
    theirs = WhisperEncoder(config).eval()
    state = {}
    for key, value in ours.state_dict().items():
        for a, b in NAMES:
            key = key.replace(f".{a}.", f".{b}.")
        state[key] = value
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and all(k.startswith(("layers.3", "layer_norm", "embed")) for k in missing)
    with torch.no_grad():
        theirs.embed_positions.weight.copy_(ours.positions)
        x = voice_like(30)
        want = theirs(log_mel(x[None]), output_hidden_states=True).hidden_states[3]
        assert float((ours(x[None]) - want).abs().max()) < 1e-4


def test_position_table_is_the_published_sinusoid():
    table = sinusoids(1500, 512)
    assert float(table[0, :256].abs().max()) == 0 and float(table[0, 256:].min()) == 1
    assert float(table[7, 0]) == pytest.approx(torch.sin(torch.tensor(7.0)).item())
    assert float(table[10000 // 10, 255]) == pytest.approx(torch.sin(torch.tensor(0.1)).item(), abs=1e-5)


def test_every_frame_comes_from_the_middle_of_its_window():
    """Frame k is what the encoder says of a window around it; the half second at each window's end is thrown away."""
    config = dataclasses.replace(SpeechConfig.tiny(), window_s=2.0, margin_s=0.3)
    encoder = SpeechEncoder(config).eval()
    x = voice_like(5)
    states = encode_waveform(x, encoder)
    step, margin, width = 320, 15, 100
    padded = torch.nn.functional.pad(x, (margin * step, 2 * width * step))
    for k in (0, 69, 70, 71, 140, 249):
        first = k // (width - 2 * margin) * (width - 2 * margin)  # the window's first kept frame
        window = padded[first * step : (first + width) * step]
        assert torch.allclose(states[k], encoder(window[None])[0, k - first + margin], atol=1e-5)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 6.99, 7.0, 7.01, 21.0])
def test_every_length_gives_every_frame(seconds):
    config = SpeechConfig.tiny()
    encoder = SpeechEncoder(config).eval()
    x = voice_like(seconds)
    states = encode_waveform(x, encoder)
    assert states.shape == (-(-len(x) // 320), config.width)
    assert bool(states.isfinite().all())


def test_int8_keeps_rows_to_half_a_step():
    w = torch.randn(7, 3, 5) * torch.logspace(-3, 2, 7)[:, None, None]
    b = torch.randn(7)
    back = dequantise(quantise({"a.weight": w, "a.bias": b}))
    step = w.reshape(7, -1).abs().amax(1) / 127
    assert bool(((back["a.weight"] - w).reshape(7, -1).abs().amax(1) <= 0.75 * step).all())
    assert torch.allclose(back["a.bias"], b, atol=2e-3)


def test_damaged_weights_are_refused(tmp_path):
    copy = tmp_path / "encoder.safetensors"
    shutil.copy(ENCODER_FILE, copy)
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(bytes(data))
    with pytest.raises(MissingWeightsError, match="damaged"):
        load_encoder(copy)
    with pytest.raises(MissingWeightsError, match="missing"):
        load_encoder(tmp_path / "nothing.safetensors")


def test_weights_without_a_training_stamp_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "random.safetensors"
    save_file({"conv1.weight": torch.randn(2, 2)}, str(path), {"format": "ggtalker.speech-encoder"})
    with pytest.raises(MissingWeightsError, match="untrained"):
        load_encoder(path, None)
    path.write_bytes(b"no safetensors at all")
    with pytest.raises(MissingWeightsError, match="not a safetensors file"):
        load_encoder(path, None)
