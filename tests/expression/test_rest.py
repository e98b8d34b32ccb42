"""The mouth opens ahead of a voice that follows a pause, and only there."""

import torch

from ggtalker_core.expression.channels import INDEX, N_CHANNELS, lip_gap_mm
from ggtalker_core.expression.config import SpeakConfig
from ggtalker_core.expression.rest import lead_in
from ggtalker_core.expression.speaking import opened_ahead
from ggtalker_core.speech.features import SpeechFeatures

ONSET, COUNT = 20, 40


def phrase():
    """Rest, then from frame ONSET on an open mouth that needs three frames to open."""
    channels = torch.zeros(COUNT, N_CHANNELS)
    channels[:, INDEX["jawOpen"]] = 0.2 * ((torch.arange(COUNT) - ONSET + 1) / 3).clamp(0, 1)
    return channels


def pause():
    return torch.arange(COUNT) < ONSET


def test_lips_part_before_the_voice():
    channels, closure = phrase(), torch.zeros(COUNT)
    out = lead_in(channels, closure, pause(), 8, 0.7)
    gap = lip_gap_mm(out - 0.0)
    assert torch.equal(out[ONSET:], channels[ONSET:]) and torch.equal(out[: ONSET - 8], channels[: ONSET - 8])
    ahead = gap[ONSET - 8 : ONSET]
    assert (ahead.diff() > 0).all() and 0.4 * gap[-1] < ahead[-1] < 0.75 * gap[-1]
    assert float(gap[ONSET - 4]) > 1.3 * float(gap[0])  # 160 ms before the voice the mouth is on its way


def test_not_before_a_bilabial():
    closure = torch.zeros(COUNT)
    closure[ONSET] = 0.9  # the voice sets in with shut lips
    assert torch.equal(lead_in(phrase(), closure, pause(), 8, 0.7), phrase())
    closure[ONSET], closure[ONSET + 10] = 0.0, 0.9  # a later one does not matter
    assert not torch.equal(lead_in(phrase(), closure, pause(), 8, 0.7), phrase())


def test_nothing_to_open_for():
    still = torch.zeros(COUNT, N_CHANNELS)  # a noise sets in: the mouth stays shut
    assert torch.equal(lead_in(still, torch.zeros(COUNT), pause(), 8, 0.7), still)
    for quiet in (torch.zeros(COUNT, dtype=torch.bool), torch.ones(COUNT, dtype=torch.bool)):
        assert torch.equal(lead_in(phrase(), torch.zeros(COUNT), quiet, 8, 0.7), phrase())
    assert torch.equal(lead_in(phrase(), torch.zeros(COUNT), pause(), 0, 0.7), phrase())


def test_a_pause_shorter_than_the_way_is_not_left():
    quiet = (torch.arange(COUNT) >= ONSET - 3) & (torch.arange(COUNT) < ONSET)
    out = lead_in(phrase(), torch.zeros(COUNT), quiet, 8, 0.7)
    assert torch.equal(out[: ONSET - 3], phrase()[: ONSET - 3]) and not torch.equal(out, phrase())


def test_only_long_and_quiet_pauses_count():
    def heard(quiet_frames, db):
        level = torch.full((COUNT,), -10.0)
        level[ONSET - quiet_frames : ONSET] = -10.0 - db
        return SpeechFeatures(torch.zeros(COUNT, 4), 25, level)  # type: ignore[arg-type]

    def changed(quiet_frames, db):
        out = opened_ahead(phrase(), torch.zeros(COUNT), heard(quiet_frames, db), SpeakConfig())
        return not torch.equal(out, phrase())

    assert changed(12, 40) and not changed(5, 40) and not changed(12, 20)
