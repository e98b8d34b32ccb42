"""Encoders from a transformers folder, with tiny random models made here; nothing is downloaded."""

import dataclasses
import json

import pytest
import torch

from ggtalker_core.errors import IncompatibleFileError, MissingWeightsError
from ggtalker_core.expression import speak
from ggtalker_core.expression.config import PriorConfig
from ggtalker_core.expression.losses import Scale
from ggtalker_core.expression.prior import ExpressionPrior, load_prior, save_prior
from ggtalker_core.expression.regression import RegressionTrunk
from ggtalker_core.speech import encode_speech
from ggtalker_core.speech.folders import KINDS, load_folder_encoder
from ggtalker_core.types import AudioTrack

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


def make_folder(kind, folder):
    """A random model of one kind, saved as transformers saves it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind == "whisper":
        config = transformers.WhisperConfig(
            d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64, decoder_layers=1,
            decoder_attention_heads=2, decoder_ffn_dim=64, vocab_size=60, max_source_positions=100, num_mel_bins=80,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        )  # fmt: skip
        transformers.WhisperModel(config).save_pretrained(folder)
    else:
        names = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM"}
        config = getattr(transformers, names[kind] + "Config")(**SMALL)
        getattr(transformers, names[kind] + "Model")(config).save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    return folder


def sound(seconds=2.3, rate=22050):
    g = torch.Generator().manual_seed(0)
    return AudioTrack(torch.randn(1, round(seconds * rate), generator=g) * 0.1, rate)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_two_states_a_frame(kind, tmp_path):
    encoder = load_folder_encoder(make_folder(kind, tmp_path))
    assert encoder.width == 32 and encoder.feature_id.startswith(f"{kind}-32-layer2-")
    features = encode_speech(sound(), encoder=encoder)
    assert features.values.shape == (58, 64) and bool(torch.isfinite(features.values).all())
    assert features.feature_id == encoder.feature_id
    other = load_folder_encoder(tmp_path, layer=1)
    assert other.feature_id != encoder.feature_id
    assert not torch.allclose(encode_speech(sound(), encoder=other).values, features.values)


def test_states_are_those_of_the_model(tmp_path):
    """One window, against a direct call of transformers' model."""
    encoder = load_folder_encoder(make_folder("hubert", tmp_path))
    wave = torch.randn(16000, generator=torch.Generator().manual_seed(1)) * 0.1
    got = encoder.encode(wave)
    assert got.shape == (50, 32)
    padded = torch.nn.functional.pad(wave, (16000, 16000))
    padded = (padded - padded.mean()) / (padded.var() + 1e-7).sqrt()
    with torch.no_grad():
        direct = encoder.model(torch.nn.functional.pad(padded, (40, 40))[None]).last_hidden_state[0]
    assert torch.allclose(got, direct[50:100], atol=1e-4)


def test_a_prior_refuses_the_features_of_another_encoder(tmp_path):
    encoder = load_folder_encoder(make_folder("hubert", tmp_path))
    with pytest.raises(IncompatibleFileError, match="trained on the speech features 'whisper-base"):
        speak(sound(), encoder=encoder)
    config = dataclasses.replace(PriorConfig.tiny(), feature_width=64)
    own = ExpressionPrior(
        config, Scale(torch.zeros(13), torch.ones(13) * 0.1), RegressionTrunk(config), None,
        {"feature_id": encoder.feature_id},
    )  # fmt: skip
    assert speak(sound(), encoder=encoder, prior=own).count == 58
    save_prior(own, tmp_path / "own.safetensors", {"data": "none, a test"})
    back = load_prior(tmp_path / "own.safetensors")
    assert back.feature_id == encoder.feature_id
    with pytest.raises(IncompatibleFileError, match="hubert-32"):
        speak(sound(), prior=back)


def test_what_is_no_such_folder_is_refused(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"config\.json"):
        load_folder_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(MissingWeightsError, match="Pickled"):
        load_folder_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(IncompatibleFileError, match="bert"):
        load_folder_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "hubert"}))
    with pytest.raises(IncompatibleFileError, match="could not be loaded"):
        load_folder_encoder(tmp_path)
    good = make_folder("hubert", tmp_path / "good")
    with pytest.raises(IncompatibleFileError, match="2 layers"):
        load_folder_encoder(good, layer=7)
