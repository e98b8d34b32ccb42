from __future__ import annotations

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.head import load_head

HEAD = load_head("default")
ARKIT = HEAD.arkit
assert ARKIT is not None


def random_weights(n: int, seed: int = 0) -> torch.Tensor:
    weights = torch.rand(n, 52, generator=torch.Generator().manual_seed(seed))
    left, right = ARKIT.index("jawLeft"), ARKIT.index("jawRight")
    weights[::2, left] = 0  # the jaw goes to one side at a time
    weights[1::2, right] = 0
    return weights


def test_names():
    assert len(ARKIT.names) == len(set(ARKIT.names)) == 52
    assert int(ARKIT.mouth.sum()) == 29
    assert not (ARKIT.mouth & ARKIT.upper).any()
    for name in ("jawOpen", "mouthClose", "tongueOut", "cheekPuff", "mouthSmileLeft"):
        assert ARKIT.mouth[ARKIT.index(name)]
    for name in ("browInnerUp", "eyeBlinkLeft", "noseSneerRight", "cheekSquintLeft", "eyeLookUpLeft"):
        assert ARKIT.upper[ARKIT.index(name)]
    with pytest.raises(InvalidInputError, match="jawOpen"):
        ARKIT.index("smile")


def test_round_trip():
    weights = random_weights(20)
    back = ARKIT.to_weights(*ARKIT.from_weights(weights))
    assert (back - weights).abs().max() < 1e-5
    assert ARKIT.to_weights(*ARKIT.from_weights(torch.zeros(1, 52))).abs().max() == 0


def test_weights_move_the_surface_linearly():
    a, _ = ARKIT.expression(mouthSmile=1.0)
    b, _ = ARKIT.expression(browInnerUp=1.0)
    both, _ = ARKIT.expression(mouthSmile=1.0, browInnerUp=1.0)
    move = HEAD.expression_basis @ torch.stack([a[0], b[0], both[0]], 1)
    assert (move[..., 0] + move[..., 1] - move[..., 2]).abs().max() < 1e-6
    assert move[HEAD.regions.vertices("lips"), :, 0].norm(dim=1).max() > 5e-3
    assert move[HEAD.regions.vertices("brows"), :, 0].norm(dim=1).max() < 1e-3


def test_mix_is_exact():
    mouth, upper = random_weights(6, 1), random_weights(6, 2)
    mouth_expression, jaw = ARKIT.from_weights(mouth)
    upper_expression, _ = ARKIT.from_weights(upper)
    mixed = ARKIT.mix(mouth_expression, jaw, upper_expression)
    wanted = torch.where(ARKIT.mouth, mouth, upper)
    found = ARKIT.to_weights(mixed, jaw)
    assert (found - wanted).abs().max() < 1e-5
    # On the surface: tenths of a hundredth of a millimetre.
    wanted_expression, _ = ARKIT.from_weights(wanted)
    error = (HEAD.expression_basis @ (mixed - wanted_expression).T).norm(dim=1).max()
    assert error < 1e-5
    assert (ARKIT.mix(mouth_expression, jaw, mouth_expression) - mouth_expression).abs().max() < 1e-5


def test_mix_leaves_the_other_half_alone():
    talking, jaw = ARKIT.expression(mouthFunnel=1.0, mouthSmile=0.5)
    blinking, _ = ARKIT.expression(eyeBlink=1.0, browInnerUp=1.0)
    mixed = ARKIT.mix(talking, jaw, blinking)
    assert (HEAD.expression_basis @ (mixed - talking - blinking)[0]).norm(dim=1).max() < 1e-5


def test_coefficients_of_everyday_faces_have_unit_size():
    g = torch.Generator().manual_seed(0)
    active = torch.rand(4000, 52, generator=g) * (torch.rand(4000, 52, generator=g) < 0.35)
    psi, _ = ARKIT.from_weights(active)
    spread = psi[:, :10].std(0)
    assert 0.3 < spread.min() < spread.max() < 3


def test_errors():
    with pytest.raises(InvalidInputError, match="52"):
        ARKIT.from_weights(torch.zeros(1, 51))
    with pytest.raises(InvalidInputError, match="mix"):
        ARKIT.mix(torch.zeros(1, 50), torch.zeros(1, 2), torch.zeros(1, 50))
