"""Closing and parting lips by the closure head."""

import pytest
import torch

from ggtalker_core.expression.channels import INDEX, N_CHANNELS, lip_gap_mm
from ggtalker_core.expression.lips import bring_near, part_lips, shut_lips, smoothstep, stand_out


def open_mouth(jaw=0.2, frames=4):
    channels = torch.zeros(frames, 13)
    channels[:, 0] = jaw
    return channels


def test_sure_closures_shut():
    out = lip_gap_mm(shut_lips(open_mouth(), torch.tensor([0.0, 0.5, 0.7, 1.0]), 0.7))
    assert float(out[0]) == float(out[1]) == pytest.approx(0.8 + 0.2 * 36.24, abs=0.01)
    assert 0.5 < float(out[2]) < 7
    assert float(out[3]) == pytest.approx(0.1, abs=0.01)
    assert torch.equal(shut_lips(open_mouth(), torch.ones(4), 1.5), open_mouth())


def test_accidental_closures_are_undone_and_real_ones_kept():
    sampled, regression = open_mouth(-0.01), open_mouth(0.15)
    out = part_lips(sampled, regression, torch.tensor([0.0, 0.2, 0.6, 1.0]))
    assert torch.allclose(out[:2], regression[:2])
    assert torch.equal(out[2:], sampled[2:])


def test_open_lips_are_left_alone():
    sampled = open_mouth(0.2)
    assert torch.equal(part_lips(sampled, open_mouth(0.1), torch.zeros(4)), sampled)


def test_smoothstep():
    assert torch.allclose(smoothstep(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_closures_stand_out_from_their_flanks():
    out = stand_out(torch.tensor([0.0, 0.4, 0.8, 0.4, 0.0, 0.0, 0.0, 0.6]))
    assert out.tolist() == pytest.approx([0.0, 0.025, 0.8, 0.025, 0.0, 0.0, 0.0, 0.6])
    plateau = torch.tensor([0.0, 0.9, 0.9, 0.9, 0.0])
    assert torch.allclose(stand_out(plateau), plateau)


def test_lips_come_near_in_f_and_w_and_are_never_widened():
    wide = torch.zeros(6, N_CHANNELS)
    wide[:, INDEX["jawOpen"]] = 0.25  # some 10 mm
    chance = torch.zeros(6, 2)
    chance[1, 0], chance[2, 1], chance[3, 0] = 0.9, 0.9, 0.1  # sure of an f, of a w; hardly of an f
    gap, before = lip_gap_mm(bring_near(wide, chance, 0.7)), lip_gap_mm(wide)
    assert torch.equal(gap[[0, 3, 4, 5]], before[[0, 3, 4, 5]])
    assert (gap[1:3] < 0.5 * before[1:3]).all() and (gap[1:3] > 1.0).all()  # near, and told apart from /p b m/
    assert float(bring_near(wide, chance, 0.7)[2, INDEX["mouthPucker"]]) > 0.4
    shut = torch.zeros(6, N_CHANNELS)
    assert torch.equal(bring_near(shut, chance, 0.7), shut)
