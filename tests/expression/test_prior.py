"""The prior as an object: determinism, guidance, files that are refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from ggtalker_core.errors import IncompatibleFileError, InvalidInputError, MissingWeightsError
from ggtalker_core.expression.config import PriorConfig, SpeakConfig
from ggtalker_core.expression.prior import PRIOR_FILE, ExpressionPrior, load_prior, save_prior

FEATURES = torch.randn(47, 32, generator=torch.Generator().manual_seed(0))


def test_same_seed_same_motion(tiny_prior):
    a, b, c = (tiny_prior(FEATURES, seed=s).channels for s in (1, 1, 2))
    assert a.shape == (47, 13)
    assert torch.equal(a, b)
    assert not torch.allclose(a, c, atol=1e-4)


def test_no_variation_leaves_one_motion(tiny_prior):
    still = SpeakConfig(variation=0.0)
    assert torch.equal(
        tiny_prior(FEATURES, seed=1, settings=still).channels, tiny_prior(FEATURES, seed=2, settings=still).channels
    )


def test_the_random_state_of_the_host_is_left_alone(tiny_prior):
    torch.manual_seed(5)
    want = torch.rand(1)
    torch.manual_seed(5)
    tiny_prior(FEATURES, seed=1)
    assert torch.equal(torch.rand(1), want)


def test_guidance_one_is_the_plain_answer_and_more_moves_away_from_the_deaf_one(tiny_prior):
    heard = tiny_prior.hear(FEATURES)
    noisy, known, step = torch.randn(1, 24, 13), torch.zeros(1, 24), torch.tensor([30])
    plain, double, none = (
        tiny_prior.predictor(heard, tiny_prior.style_condition(None, None), g)(noisy, known, step, 0, 20)
        for g in (1.0, 2.0, 0.0)
    )
    assert torch.allclose(double - plain, plain - none, atol=1e-4)
    assert float((plain - none).abs().max()) > 0.1


def test_sound_reaches_the_motion(tiny_prior):
    other = FEATURES.clone()
    other[20:] = 0
    a, b = tiny_prior(FEATURES, seed=1).channels, tiny_prior(other, seed=1).channels
    assert float((a[30:] - b[30:]).abs().max()) > 0.01


def test_wrong_features_are_refused(tiny_prior):
    with pytest.raises(InvalidInputError, match="32 features"):
        tiny_prior(torch.randn(10, 1024))


def test_written_and_read(tiny_prior, tmp_path):
    path = tmp_path / "own.safetensors"
    save_prior(tiny_prior, path, {"data": "none, a test"})
    back = load_prior(path)
    assert back.config == PriorConfig.tiny()
    assert json.loads(back.metadata["trained"]) == {"data": "none, a test"}
    a, b = tiny_prior(FEATURES, seed=3).channels, back(FEATURES, seed=3).channels
    assert float((a - b).abs().max()) < 0.05  # int8


def test_a_regression_alone_is_a_prior(tiny_prior, tmp_path):
    alone = ExpressionPrior(tiny_prior.config, tiny_prior.scale, tiny_prior.trunk, None)
    save_prior(alone, tmp_path / "r.safetensors", {"data": "none"})
    back = load_prior(tmp_path / "r.safetensors")
    assert back.denoiser is None
    assert torch.equal(back(FEATURES, seed=1).channels, back(FEATURES, seed=2).channels)


def test_untrained_damaged_and_foreign_files_are_refused(tiny_prior, tmp_path):
    with pytest.raises(InvalidInputError, match="how it was trained"):
        save_prior(tiny_prior, tmp_path / "x.safetensors", {})
    good = tmp_path / "good.safetensors"
    save_prior(tiny_prior, good, {"data": "none"})
    tensors, meta = load_file(good), {"format": "ggtalker.expression-prior", "format_version": "1"}
    meta["config"] = json.dumps(vars(PriorConfig.tiny()))
    save_file(tensors, tmp_path / "random.safetensors", meta)
    with pytest.raises(MissingWeightsError, match="untrained"):
        load_prior(tmp_path / "random.safetensors")
    save_file(tensors, tmp_path / "new.safetensors", meta | {"trained": "{}", "format_version": "9"})
    with pytest.raises(IncompatibleFileError, match="version '9'"):
        load_prior(tmp_path / "new.safetensors")
    tensors.pop("scale.mean")
    save_file(tensors, tmp_path / "part.safetensors", meta | {"trained": "{}"})
    with pytest.raises(IncompatibleFileError, match=r"scale\.mean"):
        load_prior(tmp_path / "part.safetensors")
    with pytest.raises(MissingWeightsError, match="missing"):
        load_prior(tmp_path / "nothing.safetensors")


def test_a_damaged_bundled_prior_is_refused(tmp_path, monkeypatch):
    copy = tmp_path / "prior.safetensors"
    data = bytearray(PRIOR_FILE.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(bytes(data))
    monkeypatch.setattr("ggtalker_core.expression.prior.PRIOR_FILE", copy)
    load_prior.cache_clear()
    with pytest.raises(MissingWeightsError, match="sha256"):
        load_prior()
    load_prior.cache_clear()


def test_the_bundled_weights_are_small_and_say_where_they_come_from():
    from ggtalker_core.speech.weights import ENCODER_FILE

    assert PRIOR_FILE.stat().st_size + ENCODER_FILE.stat().st_size < 16e6
    trained = json.loads(load_prior().metadata["trained"])
    assert "synthetic" in trained["data"] and trained["hours"] > 0
