from __future__ import annotations

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.head import load_head

HEAD = load_head("default")
POINTS = HEAD.landmarks.points(HEAD.template_m[None])[0]
UPPER_INNER, LOWER_INNER = (191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324)


def test_embedding_is_well_formed():
    b = HEAD.landmarks.barycentric
    assert HEAD.landmarks.triangles.shape == b.shape == (478, 3)
    assert (b >= 0).all()
    assert torch.allclose(b.sum(1), torch.ones(478), atol=1e-4)


def test_landmarks_stand_where_they_are_named():
    assert POINTS[1, 2] > POINTS[:468, 2].max() - 0.012  # near the tip of the nose
    assert POINTS[152, 1] < POINTS[17, 1]  # chin under the lower lip
    assert POINTS[33, 0] < POINTS[133, 0] < 0 < POINTS[362, 0] < POINTS[263, 0]  # right eye, left eye
    pairs = (POINTS[list(UPPER_INNER)] - POINTS[list(LOWER_INNER)]).norm(dim=1)
    assert pairs.max() < 2e-3  # the closed mouth is closed for the landmarks too
    assert 0.075 < (POINTS[33] - POINTS[263]).norm() < 0.1  # outer eye corners


def test_inner_lip_points_open_with_the_jaw():
    """Upper points stay on the upper lip, lower ones go with the jaw: the mouth opens between them."""
    args = HEAD.rest()
    args["jaw_rad"] = torch.tensor([[0.29, 0, 0]])
    opened = HEAD.landmarks.points(HEAD.vertices(**args))[0]
    gap = (opened[13] - opened[14]).norm() - (POINTS[13] - POINTS[14]).norm()
    assert 0.030 < gap < 0.040
    move = (opened - POINTS).norm(dim=1)
    middle = slice(3, 6)  # towards the corners both lips follow
    assert move[list(UPPER_INNER)[middle]].max() < 0.004
    assert move[list(LOWER_INNER)[middle]].min() > 0.018


def test_symmetry():
    for right, left in ((33, 263), (133, 362), (61, 291), (78, 308), (105, 334), (234, 454), (468, 473)):
        assert (POINTS[right] * torch.tensor([-1.0, 1, 1]) - POINTS[left]).norm() < 5e-4


def test_iris_points_follow_the_gaze():
    args = HEAD.rest()
    args["eyes_rad"] = torch.tensor([[0, 0.3, 0, 0, 0.3, 0]])
    moved = HEAD.landmarks.points(HEAD.vertices(**args))[0] - POINTS
    assert (moved[468:, 0] > 2e-3).all()
    assert moved[:468].norm(dim=1).max() < 1e-6
    assert abs((POINTS[469] - POINTS[471]).norm() - 0.0118) < 1e-3  # a human iris


def test_regions():
    regions = HEAD.regions
    faces = torch.stack([regions.faces(n) for n in regions.names])
    assert (faces.sum(0) == 1).all()
    assert int(regions.vertices("eyes_left").sum()) == int(regions.vertices("eyes_right").sum()) == 72
    assert int(regions.vertices("tongue").sum()) == 226
    assert int(regions.vertices("teeth_upper").sum()) == int(regions.vertices("teeth_lower").sum()) == 68
    assert (regions.vertices("lips", "nose") == regions.vertices("lips") | regions.vertices("nose")).all()
    assert (regions.faces("sockets") == regions.faces("socket")).all()
    lips, nose, brows = (HEAD.template_m[regions.vertices(n)].mean(0) for n in ("lips", "nose", "brows"))
    assert lips[1] < nose[1] < brows[1]
    for pair in (HEAD.lip_pairs, HEAD.lip_corners):
        assert regions.vertices("lips")[pair].all()
    assert regions.vertices("lids")[HEAD.lid_pairs].all()


def test_unknown_region():
    with pytest.raises(InvalidInputError, match="lips"):
        HEAD.regions.vertices("moustache")
    with pytest.raises(InvalidInputError, match="at least one"):
        HEAD.regions.faces()
