from __future__ import annotations

import math

import torch

from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_quaternion_wxyz, transform


def rotations(n: int = 200) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    r = torch.randn(n, 3, generator=g, dtype=torch.float64)
    return r / r.norm(dim=1, keepdim=True) * torch.rand(n, 1, generator=g, dtype=torch.float64) * math.pi


def test_known_rotation():
    m = axis_angle_to_matrix(torch.tensor([0.0, math.pi / 2, 0.0], dtype=torch.float64))
    wanted = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=torch.float64)
    assert torch.allclose(m, wanted, atol=1e-12)


def test_matrix_exponential():
    r = torch.cat([rotations(), rotations() * 1e-5, torch.zeros(1, 3, dtype=torch.float64)])
    x, y, z = r.unbind(1)
    o = torch.zeros_like(x)
    skew = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    assert (axis_angle_to_matrix(r) - torch.linalg.matrix_exp(skew)).abs().max() < 1e-12


def test_round_trips():
    r = torch.cat([rotations(), torch.eye(3, dtype=torch.float64) * (math.pi - 1e-9)])
    m = axis_angle_to_matrix(r)
    assert (axis_angle_to_matrix(matrix_to_axis_angle(m)) - m).abs().max() < 1e-9
    q = matrix_to_quaternion_wxyz(m)
    assert torch.allclose(q.norm(dim=1), torch.ones(len(q), dtype=torch.float64))
    assert (q[:, 0] >= 0).all()
    half = r.norm(dim=1) / 2
    assert (q[:, 0] - half.cos()).abs().max() < 1e-7


def test_gradient_at_rest():
    r = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(axis_angle_to_matrix, r)


def test_transform_faces_the_camera():
    """A frontal head has rotation (pi, 0, 0): up becomes camera -y, the viewer's side comes nearer."""
    p = transform(
        torch.tensor([[[0.0, 1, 0], [0, 0, 1]]]), torch.tensor([[math.pi, 0, 0]]), torch.tensor([[0.0, 0, 5]])
    )
    assert torch.allclose(p, torch.tensor([[[0.0, -1, 5], [0, 0, 4]]]), atol=1e-6)
