"""The meaning of another head's expressions: a FLAME-shaped file with unknown coefficients of its own."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core.errors import IncompatibleFileError
from ggtalker_core.head import load_head
from ggtalker_core.head.flame_files import convert_flame, export_flame
from ggtalker_core.head.measure import lid_gap_m, lip_gap_m
from ggtalker_core.head.retarget import for_head, with_arkit
from ggtalker_core.types import MotionTrack

OURS = load_head("default")


def test_it_has_the_52_names_and_comes_back(theirs):
    assert theirs.arkit is not None and theirs.arkit.names == OURS.arkit.names
    weights = torch.rand(30, 52, generator=torch.Generator().manual_seed(0)) * 0.5
    weights[:, 51] = 0
    back = theirs.arkit.to_weights(*theirs.arkit.from_weights(weights))
    assert (back - weights).abs().mean() < 0.02
    assert theirs.arkit.to_weights(*theirs.arkit.from_weights(torch.zeros(1, 52))).abs().max() == 0


@pytest.mark.parametrize("name", ["jawOpen", "mouthSmile", "mouthPucker", "mouthFunnel", "browInnerUp", "eyeBlink"])
def test_a_named_shape_moves_the_same_places_the_same_way(theirs, name):
    moved = []
    for head in (OURS, theirs):
        expression, jaw = head.arkit.expression(**{name: 1.0})
        posed = head.vertices(**{**head.rest(), "expression": expression, "jaw_rad": jaw})
        moved.append((head.landmarks.points(posed) - head.landmarks.points(head.template_m[None]))[0, :468])
    left = (moved[1] / 1.05 - moved[0]).norm() / moved[0].norm()
    assert left < 0.3


def test_lips_and_lids_close_as_ours_do(theirs):
    for weights in ({"jawOpen": 0.5}, {"jawOpen": 0.4, "mouthClose": 0.4}, {"eyeBlink": 1.0}):
        gaps = []
        for head in (OURS, theirs):
            expression, jaw = head.arkit.expression(**weights)
            posed = head.vertices(**{**head.rest(), "expression": expression, "jaw_rad": jaw})
            gaps.append(torch.stack([lip_gap_m(posed, head)[0], lid_gap_m(posed, head).mean()]) * 1e3)
        assert (gaps[1] / 1.05 - gaps[0]).abs().max() < 2.5


def test_a_motion_is_carried_over_and_back(theirs):
    weights = torch.rand(12, 52, generator=torch.Generator().manual_seed(3)) * 0.6
    weights[:, 51] = 0
    expression, jaw = OURS.arkit.from_weights(weights)
    motion = MotionTrack(expression, jaw, Fraction(25))
    there = for_head(motion, "default", theirs.name)
    assert not torch.allclose(there.expression, expression, atol=0.1)
    back = for_head(there, theirs.name, "default")
    assert (back.jaw_rad - jaw).abs().max() < 1e-4
    step = (OURS.expression_basis @ (back.expression - expression).T).norm(dim=1)
    whole = (OURS.expression_basis @ expression.T).norm(dim=1)
    assert step.mean() < 0.15 * whole.mean()
    assert for_head(motion, "default", "default") is motion


def test_a_head_of_unknown_origin_says_so():
    with pytest.raises(IncompatibleFileError, match="load it anew"):
        with_arkit(dataclasses.replace(OURS, arkit=None, fitted_default_m=None))


def test_a_file_without_expressions_still_loads(tmp_path: Path):
    with np.load(export_flame(OURS, tmp_path)) as file:
        arrays = {k: file[k] for k in file.files}
    arrays["shapedirs"] = arrays["shapedirs"].copy()
    arrays["shapedirs"][..., 310:] = 0
    np.savez(tmp_path / "few.npz", **arrays)
    head = load_head(str(convert_flame(tmp_path / "few.npz", tmp_path / "few.safetensors")))
    expression, jaw = head.arkit.expression(mouthSmile=1.0)
    assert bool(expression.isfinite().all()) and float(expression.abs().max()) < 30
