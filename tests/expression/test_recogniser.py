"""The phone recogniser: known best paths, what it hears in a made-up voice, the rules engine, refusals."""

import json
from pathlib import Path

import pytest
import torch

from ggtalker_core.errors import InvalidInputError, MissingWeightsError
from ggtalker_core.expression import speak
from ggtalker_core.expression.closure import labels_of
from ggtalker_core.expression.phones import GROUP_NAMES, GROUP_OF, SHAPES
from ggtalker_core.expression.recogniser import RECOGNISER_FILE, best_path, load_recogniser, recognise
from ggtalker_core.speech import encode_speech
from ggtalker_core.types import AudioTrack

DATA = Path(__file__).parent / "data"


def test_groups_cover_all_shapes():
    assert len(GROUP_NAMES) == max(GROUP_OF.values()) + 1
    assert set(GROUP_OF) == set(SHAPES)
    assert GROUP_NAMES[GROUP_OF["m"]].startswith("p")


def test_best_path_prefers_few_changes():
    scores = torch.full((10, 3), -3.0)
    scores[:5, 0] = scores[5:, 1] = -0.1
    scores[2] = torch.tensor([-1.0, -3.0, -0.4])  # one odd frame
    assert best_path(scores) == [0] * 5 + [1] * 5
    assert best_path(scores, switch_cost=0.0)[2] == 2


def test_it_hears_the_phones_of_an_utterance(read_wav):
    said = read_wav(DATA / "utterance.wav")
    after = torch.randn(1, said.sample_rate // 2, generator=torch.Generator().manual_seed(0)) * 1e-4
    said = AudioTrack(torch.cat([said.waveform, after], 1), said.sample_rate)
    spans = recognise(encode_speech(said).values)
    assert spans[0][0] == 0 and all(a[1] == b[0] for a, b in zip(spans, spans[1:]))
    heard = [name for _, _, name in labels_of(spans)]
    assert "P" in heard and "SIL" in heard and heard.count("AH") >= 3
    truth = json.loads((DATA / "utterance.json").read_text())
    assert truth  # the utterance is documented


def test_the_rules_engine_is_deterministic_and_speaks(read_wav):
    audio = read_wav(DATA / "utterance.wav")
    a, b, other = speak(audio, engine="rules", seed=1), speak(audio, engine="rules", seed=2), speak(audio)
    assert torch.equal(a.expression, b.expression)
    assert float(torch.corrcoef(torch.stack([a.jaw_rad[:, 0], other.jaw_rad[:, 0]]))[0, 1]) > 0.5
    c, d = speak(audio, engine="regression", seed=1), speak(audio, engine="regression", seed=2)
    assert torch.equal(c.expression, d.expression) and not torch.equal(c.expression, other.expression)
    with pytest.raises(InvalidInputError, match="engine"):
        speak(audio, engine="magic")


def test_a_damaged_file_is_refused(tmp_path):
    copy = tmp_path / "phones.safetensors"
    data = bytearray(RECOGNISER_FILE.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(bytes(data))
    with pytest.raises(MissingWeightsError, match="sha256"):
        load_recogniser(copy)
