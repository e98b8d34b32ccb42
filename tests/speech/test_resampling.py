"""Resampling against float64 sums of the kernel, known sinusoids, and torchaudio where it imports."""

import math

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.speech import resample


def reference(x, source, target):
    """The defining sum, in float64, one output sample at a time."""
    base = min(source, target) * 0.99
    out = []
    for n in range(-(-len(x) * target // source)):
        t = (torch.arange(len(x), dtype=torch.float64) / source - n / target) * base
        window = torch.cos(t.clamp(-6, 6) * math.pi / 12) ** 2 * (t.abs() < 6)
        out.append(float((torch.sinc(t) * window * x.double()).sum() * base / source))
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize(
    ("source", "target"), [(8000, 16000), (44100, 16000), (48000, 16000), (22051, 16000), (16000, 11025)]
)
def test_equals_the_defining_sum(source, target):
    x = torch.randn(500, generator=torch.Generator().manual_seed(0))
    got = resample(x, source, target)
    assert len(got) == math.ceil(500 * target / source)
    assert float((got - reference(x, source, target)).abs().max()) < 2e-5


@pytest.mark.parametrize("source", [8000, 22050, 44100, 48000, 96000, 192000])
def test_a_sinusoid_stays_the_same_sinusoid(source):
    t = torch.arange(source // 2, dtype=torch.float64) / source
    got = resample(torch.sin(2 * math.pi * 440 * t).float(), source, 16000)
    want = torch.sin(2 * math.pi * 440 * torch.arange(len(got), dtype=torch.float64) / 16000)
    assert float((got - want)[400:-400].abs().max()) < 2e-3


def test_what_lies_above_the_new_nyquist_is_removed():
    t = torch.arange(24000) / 48000
    got = resample(torch.sin(2 * math.pi * 11000 * t), 48000, 16000)
    assert float(got[400:-400].abs().max()) < 5e-3


def test_channels_are_independent_and_the_same_rate_is_a_copy():
    x = torch.randn(2, 3, 700)
    assert torch.equal(resample(x, 16000, 16000), x)
    together = resample(x, 44100, 16000)
    assert together.shape == (2, 3, math.ceil(700 * 160 / 441))
    assert torch.allclose(together[1, 2], resample(x[1, 2], 44100, 16000), atol=1e-6)


def test_one_sample():
    assert resample(torch.ones(1), 48000, 16000).shape == (1,)
    assert resample(torch.ones(1), 8000, 16000).shape == (2,)


@pytest.mark.parametrize("rate", [0, -1])
def test_bad_rates(rate):
    with pytest.raises(InvalidInputError, match="positive"):
        resample(torch.ones(10), rate, 16000)


def test_equals_torchaudio_where_it_can_be_imported():
    try:
        from torchaudio.functional import resample as other
    except (ImportError, OSError, RuntimeError):
        pytest.skip("torchaudio does not import beside this build of torch")
    x = torch.randn(1, 5000)
    for source in (8000, 22050, 44100, 48000):
        assert torch.allclose(resample(x, source, 16000), other(x, source, 16000), atol=1e-5)


def test_prime_rates():
    assert resample(torch.randn(22051), 22051, 16000).shape == (16000,)
