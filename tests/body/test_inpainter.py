"""The Body Inpainter: harmless untrained, repairs what it was trained on, keeps out of what it must not touch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ggtalker_core.body.inpainter import BodyInpainter, InpainterConfig, load_inpainter, repair, stacked
from ggtalker_core.errors import IncompatibleFileError

SMALL = InpainterConfig((4, 6, 8, 8, 8))


def _pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Composite, original, hole."""
    rng = np.random.default_rng(seed)
    coarse, original = rng.integers(0, 256, (2, 70, 90, 3), dtype=np.uint8)
    hole = np.zeros((70, 90), np.float32)
    hole[20:50, 30:70] = 1
    return coarse, original, hole


def test_untrained_it_changes_nothing():
    coarse, original, hole = _pictures()
    assert np.array_equal(repair(BodyInpainter().eval(), coarse, original, hole, hole), coarse)
    assert np.array_equal(repair(BodyInpainter().eval(), coarse, original, 0 * hole, 0 * hole), coarse)


def test_four_levels_six_channels_any_size():
    network = BodyInpainter(SMALL)
    assert len(network.down) == len(network.up) == 4
    for size in ((16, 16), (33, 47), (1, 5)):
        assert network(torch.rand(2, 6, *size)).shape == (2, 3, *size)


def _shaken(seed: int = 1) -> BodyInpainter:
    """Random weights in the last layer too."""
    torch.manual_seed(seed)
    network = BodyInpainter(SMALL)
    torch.nn.init.normal_(network.leave.weight, std=0.5)
    return network.eval()


def test_it_never_sees_the_original_inside_the_hole():
    """What lies in the hole of the original (an old chin) has no influence."""
    coarse, original, hole = _pictures()
    changed = original.copy()
    changed[hole > 0] = 255 - changed[hole > 0]
    network = _shaken()
    assert np.array_equal(repair(network, coarse, original, hole, hole), repair(network, coarse, changed, hole, hole))
    outside = original.copy()
    outside[:18] = 255 - outside[:18]
    assert not np.array_equal(
        repair(network, coarse, original, hole, hole), repair(network, coarse, outside, hole, hole)
    )


def test_outside_its_weight_nothing_changes():
    coarse, original, hole = _pictures()
    out = repair(_shaken(), coarse, original, hole, hole)
    assert np.array_equal(out[hole == 0], coarse[hole == 0])
    assert (out[hole > 0] != coarse[hole > 0]).mean() > 0.5


def test_a_step_of_training_lowers_the_error_and_weights_travel():
    coarse, original, hole = _pictures()
    planes = [torch.from_numpy(x).permute(2, 0, 1)[None] / 255 for x in (coarse, original)]
    mask = torch.from_numpy(hole)[None, None]
    target = planes[0] + 0.2
    network = BodyInpainter(SMALL)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    errors: list[float] = []
    for _ in range(40):
        made = planes[0] + mask * network(stacked(planes[0], planes[1], mask))
        loss = ((made - target).abs() * mask).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(loss.detach()))
    assert errors[-1] < 0.5 * errors[0]
    with torch.inference_mode():
        weights = {name: value.clone() for name, value in network.state_dict().items()}
    back = load_inpainter(weights)
    assert np.array_equal(
        repair(network.eval(), coarse, original, hole, hole), repair(back, coarse, original, hole, hole)
    )


def test_weights_of_another_network_are_refused():
    weights = dict(BodyInpainter(SMALL).state_dict())
    for broken in (
        {},
        {k: v for k, v in weights.items() if k != "leave.bias"},
        weights | {"leave.bias": torch.ones(5)},
    ):
        with pytest.raises(IncompatibleFileError, match="Body Inpainter"):
            load_inpainter(broken)
