"""Closures on real, phone-aligned LibriVox speech, on the shipped default path."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.expression import speak
from ggtalker_core.expression.closure import ClosureCount, count_closures
from ggtalker_core.head import load_head

CLIPS = [f"en_f_librivox_0{n}" for n in (870, 880, 890, 920, 930)]


def phones(path):
    """[(start, duration, ARPAbet)] of pocketsphinx' alignment."""
    words = json.loads(path.read_text())["w"]
    return [(p["b"], p["d"], p["t"]) for word in words for p in word["w"]]


def true_gap(motion):
    """Signed height between the mid-line lips of the default head, [T] metres."""
    head, n = load_head(), motion.count
    zero = torch.zeros(n, 3)
    vertices = head.vertices(torch.zeros(n, head.n_shape), motion.expression, motion.jaw_rad, zero, torch.zeros(n, 6))
    upper, lower = head.lip_pairs[5]
    return (vertices[:, upper, 1] - vertices[:, lower, 1]).clamp(min=0).numpy()


@pytest.mark.media
def test_lips_meet_where_they_must_and_only_there(media, read_wav):
    folder = media / "audio" / "librivox"
    ours, shuffled = ClosureCount(), ClosureCount()
    gaps = {name: true_gap(speak(read_wav(folder / f"{name}.wav"))) for name in CLIPS}
    for i, name in enumerate(CLIPS):
        labels = phones(folder / f"{name}.phone.json")
        ours.add(count_closures(gaps[name], labels))
        other = np.resize(gaps[CLIPS[(i + 1) % len(CLIPS)]], len(gaps[name]))
        shuffled.add(count_closures(other, labels))
    assert len(ours.hits) > 25
    assert ours.recall >= 0.80 and ours.precision >= 0.80
    assert shuffled.recall < 0.5 and shuffled.precision < 0.5


def test_lips_meet_on_the_shipped_synthetic_utterance(read_wav):
    """'My mother bought a big purple map', a voice that was not trained on (espeak-ng, made for this test)."""
    data = Path(__file__).parent / "data"
    labels = [(t, d, name) for t, d, name in json.loads((data / "utterance.json").read_text())]
    count = count_closures(true_gap(speak(read_wav(data / "utterance.wav"))), labels)
    assert len(count.hits) == 8
    assert count.recall >= 0.8 and count.precision >= 0.75
