"""Emotions: what moves, by how much, and that closed lips stay closed."""

from pathlib import Path

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression import speak
from ggtalker_core.expression.channels import lip_gap_mm, to_arkit, to_expression
from ggtalker_core.expression.coarticulation import mouth_channels
from ggtalker_core.expression.emotion import EMOTIONS, add_emotion
from ggtalker_core.head import load_head

HEAD = load_head()
SPANS = [(0.3 + 0.12 * i, 0.42 + 0.12 * i, p) for i, p in enumerate("amabiputo")]


def head_gap_mm(expression, jaw):
    n = len(expression)
    v = HEAD.vertices(torch.zeros(n, HEAD.n_shape), expression, jaw, torch.zeros(n, 3), torch.zeros(n, 6))
    upper, lower = HEAD.lip_pairs[5]
    return (v[:, upper, 1] - v[:, lower, 1]) * 1000


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_closed_lips_stay_closed_and_speech_stays_speech(emotion):
    channels = torch.from_numpy(mouth_channels(SPANS, 2.0)[0])
    weights = to_arkit(channels, HEAD.arkit.names)
    moved = add_emotion(channels, weights, HEAD.arkit.names, emotion, 1.0)
    before, after = head_gap_mm(*to_expression(channels, HEAD.arkit)), head_gap_mm(*HEAD.arkit.from_weights(moved))
    shut = lip_gap_mm(channels) < 0.3
    assert int(shut.sum()) > 3
    assert float((after - before)[shut].max()) < 0.5
    assert float(torch.corrcoef(torch.stack([before, after]))[0, 1]) > 0.95
    assert (emotion == "neutral") == torch.equal(weights, moved)


def test_a_smile_raises_the_corners_and_grows_with_intensity():
    channels = torch.from_numpy(mouth_channels(SPANS, 2.0)[0])
    weights, names = to_arkit(channels, HEAD.arkit.names), HEAD.arkit.names
    i = names.index("mouthSmileLeft")
    low, high = (add_emotion(channels, weights, names, "happy", a)[:, i].mean() for a in (0.3, 0.9))
    assert float(high) > float(low) > float(weights[:, i].mean())
    upper = torch.tensor([n.startswith(("brow", "eye")) for n in names])
    assert torch.equal(add_emotion(channels, weights, names, "happy", 1.0)[:, upper], weights[:, upper])


def test_speak_takes_an_emotion(read_wav, wide_prior):
    audio = read_wav(Path(__file__).parent / "data" / "utterance.wav")
    plain, sad = (speak(audio, prior=wide_prior, steps=1, emotion=e, emotion_intensity=1.0) for e in ("neutral", "sad"))
    i = HEAD.arkit.index("mouthFrownLeft")
    weights = HEAD.arkit.to_weights(sad.expression, sad.jaw_rad)
    assert float(weights[:, i].mean()) > 0.3
    assert float(HEAD.arkit.to_weights(plain.expression, plain.jaw_rad)[:, i].abs().max()) < 0.01
    with pytest.raises(InvalidInputError, match="emotion"):
        speak(audio, prior=wide_prior, emotion="bored")
    with pytest.raises(InvalidInputError, match="intensity"):
        speak(audio, prior=wide_prior, emotion="happy", emotion_intensity=2.0)
