"""Learning because of the data: known linear answers, resuming, batches."""

import dataclasses

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression.config import PriorConfig, TrainConfig
from ggtalker_core.expression.prior import ExpressionPrior
from ggtalker_core.expression.trainer import train_denoiser, train_regression
from ggtalker_core.expression.training_data import TrainingSet

PRIOR = dataclasses.replace(PriorConfig.tiny(), trunk_dropout=0.0)


def invented(chunks=6, frames=60, seed=0):
    """Targets that are a fixed function of the features, in two manners (the second twice as large)."""
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(chunks, frames, 32, generator=g)
    features = (features + features.roll(1, 1) + features.roll(2, 1)) / 3**0.5
    mixing = torch.randn(32, 13, generator=torch.Generator().manual_seed(99)) * 0.02
    plain = (features @ mixing + 0.1).clamp(0, 0.8)
    manners = torch.zeros(chunks, 2, 4)
    manners[:, 1, 0] = 0.69
    closure = (plain[..., 0] < 0.02).float()
    return TrainingSet(
        features.half(), torch.stack([plain, 2 * plain], 1).half(), manners.half(), closure.half(),
        torch.full((chunks,), frames), torch.full((chunks,), 1 / chunks, dtype=torch.float64),
    )  # fmt: skip


def error(prior, data):
    """Mean squared error of the plain channels over their variance."""
    got = torch.stack([prior(f.float(), seed=0).channels for f in data.features])
    true = data.channels[:, 0].float().clamp(max=0.9)
    return float(((got - true) ** 2).mean() / true.var((0, 1)).mean())


def test_both_networks_learn_what_the_features_say(tmp_path):
    data, unseen = invented(24), invented(4, seed=5)
    config = TrainConfig(
        steps=400, batch=8, warmup=10, peak_rate=5e-3, feature_noise=0.0, ema=0.98, checkpoint_every=1000
    )
    trunk, first = train_regression(data, PRIOR, config)
    assert first.steps == 400 and np.mean(first.losses[-20:]) < 0.3 * np.mean(first.losses[:5])
    regression = ExpressionPrior(PRIOR, data.scale(), trunk, None)
    assert error(regression, unseen) < 0.3
    wrong = dataclasses.replace(unseen, features=unseen.features.roll(1, 0))
    assert error(regression, wrong) > 1.0  # the answer comes from the sound
    denoiser, second = train_denoiser(data, trunk, PRIOR, dataclasses.replace(config, steps=150, peak_rate=2e-3))
    assert np.isfinite(second.losses).all()
    assert error(ExpressionPrior(PRIOR, data.scale(), trunk, denoiser), unseen) < 0.5


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    data, config = invented(), dataclasses.replace(TrainConfig.tiny(), steps=12, checkpoint_every=4)
    whole, _ = train_regression(data, PRIOR, config)
    path = tmp_path / "run.safetensors"
    short = dataclasses.replace(config)
    seen: list[int] = []

    def stop(done, total, message="", preview=None):
        seen.append(done)
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_regression(data, PRIOR, short, checkpoint=path, progress=stop)
    assert path.exists()
    resumed, trained = train_regression(data, PRIOR, short, checkpoint=path)
    assert trained.steps == 12 and len(trained.losses) == 8  # from the checkpoint of step 4
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-5), name


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_alike(precision):
    """Losses of a short run stay within a few per cent of float32's, and the weights stay float32."""
    data, plain = invented(), dataclasses.replace(TrainConfig.tiny(), steps=12)
    mixed = dataclasses.replace(plain, precision=precision)
    trunk, first = train_regression(data, PRIOR, plain)
    other, second = train_regression(data, PRIOR, mixed)
    assert np.allclose(first.losses, second.losses, rtol=0.1)
    assert all(v.dtype == torch.float32 for v in other.state_dict().values())
    _, third = train_denoiser(data, trunk, PRIOR, plain)
    _, fourth = train_denoiser(data, trunk, PRIOR, mixed)
    assert np.allclose(third.losses, fourth.losses, rtol=0.1)


def test_windows_of_the_set():
    data = invented()
    batch = data.draw(np.random.default_rng(0), 5, 20, data.scale(), plain=False)
    assert batch.features.shape == (5, 20, 32) and batch.channels.shape == (5, 20, 13)
    chunk, first = batch.place[3].tolist()
    assert torch.equal(batch.features[3], data.features[chunk, first : first + 20].float())
    factor = 2 if float(batch.manner[3, 0]) > 0 else 1
    got = data.scale().restore(batch.channels[3])
    assert torch.allclose(got, factor * data.channels[chunk, 0, first : first + 20].float(), atol=2e-3)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="No training shards"):
        TrainingSet.load(tmp_path)
