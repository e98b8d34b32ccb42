"""Our two projections against gsplat's own torch code (the one piece of gsplat that runs on a CPU)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ggtalker_core.render import backend_numba
from ggtalker_core.render.projection_torch import project

WIDTH, HEIGHT = 200, 144
_LN2 = math.log(2.0)


@pytest.fixture(scope="module")
def shell():
    """4,096 thin Gaussians on an ellipsoid before a camera, part of it beyond the edges."""
    g = torch.Generator().manual_seed(0)
    n = 4096
    means = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=-1) * torch.tensor([0.75, 1.0, 0.85])
    quats = torch.randn(n, 4, generator=g)
    scales = torch.rand(n, 3, generator=g) * torch.tensor([0.03, 0.03, 0.006]) + 0.001
    view = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    view[2, 3] = 2.2
    k = torch.tensor([[260.0, 0, 97.0], [0, 250.0, 70.0], [0, 0, 1]])
    return means, quats, scales, torch.rand(n, generator=g) * 0.8 + 0.1, view, k


@pytest.fixture(scope="module")
def theirs(shell):
    gsplat = pytest.importorskip("gsplat.cuda._torch_impl")
    means, quats, scales, _, view, k = shell
    covariance, _ = gsplat._quat_scale_to_covar_preci(quats, scales, True, False, triu=False)
    _, means_px, depths, conics, ratio = gsplat._fully_fused_projection(
        means, covariance, view[None], k[None], WIDTH, HEIGHT, calc_compensations=True
    )
    return means_px[0], depths[0], conics[0], ratio[0]


def _same_conics(got: torch.Tensor, want: torch.Tensor) -> None:
    assert ((got - want).abs() / want.abs().clamp(min=1e-2)).max() < 1e-3


def test_torch_projection_is_gsplats(shell, theirs) -> None:
    means, quats, scales, opacities, view, k = shell
    flat = project(means, quats, scales, opacities, view, k, WIDTH, HEIGHT, 0.01, 1e10, 0.3, True)
    means_px, depths, conics, ratio = theirs
    assert (flat.means_px - means_px).abs().max() < 1e-3
    assert (flat.depths_m - depths).abs().max() < 1e-4
    _same_conics(flat.conics, conics)
    assert (flat.opacities / opacities - ratio).abs().max() < 1e-3


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
def test_numba_projection_is_gsplats(shell, theirs, antialiased: bool) -> None:
    pipeline = backend_numba._compiled()
    from ggtalker_core.render.cpu import projection as columns

    means, quats, scales, opacities, view, k = (t.numpy() for t in shell)
    n = len(means)
    camera = pipeline.camera_numbers(view, k, (WIDTH, HEIGHT), (0.01, 1e10), 0.3, antialiased)
    records, rects = np.empty(n * 16, np.float32), np.empty((n, 4), np.int16)
    counts, depths = np.empty(n, np.int32), np.empty(n, np.float32)
    columns.project(means, quats, scales, opacities, means, camera, 0, n, records, rects, counts, depths)
    seen = torch.from_numpy(counts > 0)
    assert 0.5 < seen.float().mean() < 1.0  # the edges cut some off
    table = torch.from_numpy(records.reshape(n, 16))[seen]
    means_px, their_depths, conics, ratio = (t[seen] for t in theirs)
    assert (table[:, [columns.UX, columns.UY]] - means_px).abs().max() < 1e-3
    assert (torch.from_numpy(depths)[seen] - their_depths).abs().max() < 1e-4
    a, lean, c = (table[:, i] * s for i, s in ((columns.A, 2 * _LN2), (columns.LEAN_X, 1.0), (columns.C, 2 * _LN2)))
    _same_conics(torch.stack([a, -a * lean, a * lean * lean + c], -1), conics)
    opacity = torch.exp2(table[:, columns.LOG_OPACITY]) / shell[3][seen]
    assert (opacity - (ratio if antialiased else torch.ones_like(ratio))).abs().max() < 1e-3
