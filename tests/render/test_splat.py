"""The half turn to viewer axes."""

from __future__ import annotations

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.render.projection_torch import quaternion_to_matrix
from ggtalker_core.render.splat import to_splat_frame


def test_turned_covariance_and_position(cloud) -> None:
    turned = to_splat_frame(cloud.gaussians, centre=False)
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    assert torch.equal(turned.means, cloud.gaussians.means @ half_turn)
    before = quaternion_to_matrix(cloud.gaussians.quats[0])
    after = quaternion_to_matrix(turned.quats[0])
    assert (after - half_turn @ before).abs().max() < 1e-5
    assert (turned.quats.norm(dim=-1) - 1).abs().max() < 1e-6
    assert turned.colors.min() >= 0 and turned.colors.max() <= 1


def test_centred_and_checked(cloud) -> None:
    means = to_splat_frame(cloud.gaussians).means
    assert (means.amin(1) + means.amax(1)).abs().max() < 1e-6
    with pytest.raises(InvalidInputError, match="frame 3"):
        to_splat_frame(cloud.gaussians, 3)
