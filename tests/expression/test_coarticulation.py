"""Phones -> channels: closures, rounding, silence, marks of espeak; the lip gap against the real head."""

import numpy as np
import pytest
import torch

from ggtalker_core.expression.channels import CHANNELS, INDEX, from_arkit, lip_gap_mm, to_arkit, to_expression
from ggtalker_core.expression.coarticulation import CLOSED_GAP_MM, Manner, close_lips, mouth_channels
from ggtalker_core.expression.phones import ARPABET, SHAPES, from_arpabet, simple, split_phones
from ggtalker_core.head import load_head


def gap(channels):
    return lip_gap_mm(torch.as_tensor(channels)).numpy()


def word(*phones, each=0.12, start=0.5):
    return [(start + i * each, start + (i + 1) * each, p) for i, p in enumerate(phones)]


@pytest.mark.parametrize("bilabial", ["p", "b", "m"])
@pytest.mark.parametrize("each", [0.04, 0.08, 0.15])
def test_lips_meet_for_bilabials(bilabial, each):
    spans = word("a", bilabial, "a", each=each)
    channels, shut = mouth_channels(spans, 2.0)
    times = (np.arange(len(channels)) + 0.5) / 25
    inside = (times > spans[1][0] - 0.05) & (times < spans[1][1] + 0.02)
    assert gap(channels)[inside].min() == pytest.approx(CLOSED_GAP_MM, abs=0.02)
    assert shut.max() == 1
    assert gap(channels).max() > 3


def test_other_consonants_do_not_close():
    channels, shut = mouth_channels(word("a", "k", "a", "n", "a", "s", "a"), 2.0)
    times = (np.arange(len(channels)) + 0.5) / 25
    assert shut.max() == 0
    assert gap(channels)[(times > 0.55) & (times < 1.25)].min() > 2


def test_silence_is_the_neutral_mouth():
    channels, shut = mouth_channels([], 2.0)
    assert channels.shape == (50, 13) and np.abs(channels).max() == 0 and shut.max() == 0
    channels, _ = mouth_channels(word("a", "u", "i"), 4.0)
    assert np.abs(channels[-30:]).max() < 1e-3


def test_vowels_look_different():
    def peak(vowel, channel):
        return mouth_channels(word(vowel, each=0.3), 2.0)[0][:, INDEX[channel]].max()

    assert peak("a", "jawOpen") > 2 * peak("u", "jawOpen")
    assert peak("u", "mouthPucker") > 0.5 and peak("i", "mouthPucker") < 0.05
    assert peak("i", "mouthStretch") > 0.2 and peak("u", "mouthStretch") < 0.05


def test_the_mouth_leads_the_sound():
    channels, _ = mouth_channels([(1.0, 1.3, "a")], 3.0)
    times = (np.arange(75) + 0.5) / 25
    centre = (times * channels[:, 0]).sum() / channels[:, 0].sum()
    assert 0.01 < 1.15 - centre < 0.1


def test_manner_scales():
    plain = mouth_channels(word("a", "m", "u"), 2.0)[0]
    wide = mouth_channels(word("a", "m", "u"), 2.0, manner=Manner(jaw=1.3))[0]
    assert wide[:, 0].max() == pytest.approx(1.3 * plain[:, 0].max(), rel=0.05)
    assert gap(wide).min() == pytest.approx(CLOSED_GAP_MM, abs=0.02)


def test_marks_and_diphthongs():
    assert split_phones([(0, 1, "ˈa"), (1, 1.5, "ʲ"), (1.5, 2, "(en)"), (2, 3, "m")]) == [(0, 2, "a"), (2, 3, "m")]
    assert split_phones([(0, 1, "aɪ")]) == [(0, 0.5, "a"), (0.5, 1, "ɪ")]
    assert [simple(p) for p in ("tʃ", "", "q", "?")] == ["ʃ", "", "q", "h"]
    assert from_arpabet([(0.5, 0.25, "AH0"), (0.75, 0.25, "XX")]) == [(0.5, 0.75, "ʌ"), (0.75, 1.0, "h")]
    for ipa in ARPABET.values():
        assert simple(ipa) in SHAPES


def test_closing_is_a_blend():
    channels = np.zeros((3, 13), np.float32)
    channels[:, 0] = 0.3
    closed = close_lips(channels, np.array([0.0, 0.5, 1.0]))
    assert np.array_equal(closed[0], channels[0])
    assert gap(closed)[2] == pytest.approx(CLOSED_GAP_MM, abs=0.01)
    assert gap(closed)[0] > gap(closed)[1] > gap(closed)[2]


def test_lip_gap_is_that_of_the_head():
    """The linear gap of channels.py against the skinned vertices of the default head, on speech-like poses."""
    head = load_head()
    rng = np.random.default_rng(0)
    spans = word(*rng.choice(list("aiuoɛmpbfvsʃwtk"), 60), each=0.1)
    channels = torch.from_numpy(mouth_channels(spans, 7.0)[0])
    expression, jaw = to_expression(channels, head.arkit)
    n = len(channels)
    vertices = head.vertices(torch.zeros(n, head.n_shape), expression, jaw, torch.zeros(n, 3), torch.zeros(n, 6))
    upper, lower = head.lip_pairs[5]
    true = (vertices[:, upper, 1] - vertices[:, lower, 1]) * 1000
    assert float((true - lip_gap_mm(channels)).abs().max()) < 0.6
    assert float(true.min()) > -0.6


def test_expansion_to_the_head():
    arkit = load_head().arkit
    channels = torch.rand(4, 13) * 0.3
    weights = to_arkit(channels, arkit.names)
    assert torch.equal(weights[:, arkit.index("mouthSmileLeft")], channels[:, INDEX["mouthSmile"]])
    assert torch.equal(weights[:, arkit.index("mouthSmileRight")], channels[:, INDEX["mouthSmile"]])
    assert torch.equal(weights[:, arkit.index("jawOpen")], channels[:, 0])
    assert float(weights[:, ~arkit.mouth].abs().max()) == 0
    assert float(weights[:, arkit.index("mouthLeft")].abs().max()) == 0
    expression, jaw = to_expression(channels, arkit)
    assert expression.shape == (4, 50) and jaw.shape == (4, 3)
    assert torch.allclose(arkit.to_weights(expression, jaw), weights, atol=1e-4)
    assert len(CHANNELS) == 13


def test_rounding_pushes_the_lips_out_without_parting_them():
    head = load_head()
    part = head.subset(head.lip_pairs[5])
    channels = torch.zeros(2, len(CHANNELS))
    channels[:, INDEX["jawOpen"]] = 0.15
    channels[1, INDEX["mouthFunnel"]] = 0.35
    expression, jaw = to_expression(channels, head.arkit)
    still = torch.zeros(2, 3)
    lips = part.vertices(torch.zeros(2, head.n_shape), expression, jaw, still, torch.zeros(2, 6)) * 1000
    gap = lips[:, 0, 1] - lips[:, 1, 1]
    assert abs(float(gap[1] - gap[0])) < 0.6
    assert float((lips[1, :, 2] - lips[0, :, 2]).mean()) > 1.0  # z is towards the viewer


def test_channels_come_back_from_arkit_weights():
    names = load_head().arkit.names
    channels = torch.rand(5, len(CHANNELS), generator=torch.Generator().manual_seed(3)) * 0.4
    assert torch.allclose(from_arkit(to_arkit(channels, names), names), channels, atol=1e-6)


@pytest.mark.parametrize("phone", ["f", "v", "w"])
def test_lips_come_near_between_open_vowels(phone):
    """Between two wide /a/ the lips nearly meet in f, v and w, without shutting; in a /t/ they need not."""
    made, shut = mouth_channels(word("a", "a", phone, "a", "a"), 1.6)
    wide, low = gap(made).max(), gap(made)[17:22].min()
    assert not shut.any() and 0.1 * wide < low < 0.45 * wide
    other, _ = mouth_channels(word("a", "a", "t", "a", "a"), 1.6)
    assert low < 0.7 * gap(other)[17:22].min()


def test_closed_lips_are_not_broad():
    """Filmed people's lips are narrower in /p b m/ than at rest; ours must at least not spread into a smile."""
    head = load_head()
    part = head.subset(head.lip_pairs.flatten().unique())

    def width(channels):
        expression, jaw = to_expression(torch.as_tensor(channels).float(), head.arkit)
        n = len(expression)
        zero = torch.zeros(n, 3)
        x = part.vertices(torch.zeros(n, head.n_shape), expression, jaw, zero, torch.zeros(n, 6))[..., 0]
        return x.amax(1) - x.amin(1)

    opened = np.zeros((1, len(CHANNELS)))
    opened[0, INDEX["jawOpen"]] = 0.2
    shut = close_lips(opened, np.ones(1))
    assert float(gap(shut)[0]) == pytest.approx(CLOSED_GAP_MM, abs=1e-4)
    assert 0.9 < float(width(shut) / width(np.zeros((1, len(CHANNELS))))) < 1.01
