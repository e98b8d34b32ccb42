"""The UV page: no overlaps, no flips, full, mirror symmetric, continuous over the face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.head import load_head, uv_layout
from ggtalker_core.head.uv import rasterise

HEAD = load_head("default")


def page_areas() -> np.ndarray:
    assert HEAD.uv is not None
    t = HEAD.uv.triangles().double().numpy()
    e1, e2 = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    return (e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]) / 2


def test_no_flips_and_no_overlaps():
    area = page_areas()
    used = np.isfinite(area)
    assert used.sum() == 9136  # all but the backs of the eyeballs
    assert area[used].min() > 0
    # Without overlaps every texel centre lies in one triangle, or on an edge: count strict insides by brute force.
    assert HEAD.uv is not None
    triangles = HEAD.uv.triangles().double().numpy()
    hits = np.zeros((256, 256), int)
    for t in triangles[used]:
        p = np.stack([t[:, 0] * 256, (1 - t[:, 1]) * 256], 1)
        lo, hi = np.floor(p.min(0)).astype(int), np.ceil(p.max(0)).astype(int)
        x, y = np.meshgrid(np.arange(lo[0], hi[0]), np.arange(lo[1], hi[1]))
        q = np.stack([x + 0.5, y + 0.5], -1)
        sides = [np.cross(p[(i + 1) % 3] - p[i], q - p[i]) for i in range(3)]
        inside = np.all([s < -1e-9 for s in sides], 0)
        hits[y[inside], x[inside]] += 1
    assert hits.max() == 1
    assert (hits == 1).mean() >= 0.97


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [512, 256, 128, 32])
def test_layout(size: int):
    layout = uv_layout(size)
    assert layout.valid.float().mean() >= 0.97
    assert layout.count == int(layout.valid.sum())
    assert layout.valid[layout.row_col[:, 0], layout.row_col[:, 1]].all()
    assert layout.barycentric.min() >= 0
    assert torch.allclose(layout.barycentric.sum(1), torch.ones(layout.count), atol=1e-5)
    # Interpolating the page's own corners gives back the texel centres.
    assert HEAD.uv is not None
    at = (HEAD.uv.triangles()[layout.triangle] * layout.barycentric[..., None]).sum(1)
    centre = (layout.row_col + 0.5) / size
    assert (at[:, 0] - centre[:, 1]).abs().max() < 1e-5
    assert (1 - at[:, 1] - centre[:, 0]).abs().max() < 1e-5
    assert (layout.spacing_m > 0).all()


def test_draft_size_is_known():
    assert uv_layout(128).count == 15936


def test_mirror():
    layout = uv_layout(256)
    assert (layout.mirror[layout.mirror] == torch.arange(layout.count)).all()
    flip = torch.tensor([-1.0, 1.0, 1.0])
    points = layout.points(HEAD.template_m[None], HEAD.faces)[0]
    assert (points[layout.mirror] * flip - points).norm(dim=1).max() < 1e-4
    assert (layout.region[layout.mirror] == layout.region).all()


def test_no_seam_through_the_face():
    """Texels side by side on the page lie side by side on the skin of the face, lips and lids."""
    layout = uv_layout(256)
    names = HEAD.regions.names
    points = layout.points(HEAD.template_m[None], HEAD.faces)[0]
    page = layout.scatter(points, float("nan"))
    region = layout.scatter(layout.region[:, None].float(), -1)[0]
    skin = torch.isin(region, torch.tensor([float(names.index(n)) for n in ("face", "lips", "lids", "brows", "nose")]))
    for axis in (1, 2):
        step = (page - page.roll(-1, axis)).norm(dim=0)
        both = skin & skin.roll(-1, axis - 1)
        both = both.narrow(axis - 1, 0, 255)
        assert step.narrow(axis - 1, 0, 255)[both].max() < 0.006


def test_spacing_is_the_distance_of_neighbours():
    layout = uv_layout(256)
    face = layout.region == HEAD.regions.names.index("face")
    points = layout.points(HEAD.template_m[None], HEAD.faces)[0]
    page = layout.scatter(points, float("nan"))
    right = (page - page.roll(-1, 2)).norm(dim=0)
    down = (page - page.roll(-1, 1)).norm(dim=0)
    measured = layout.gather((right * down).sqrt()[None])[:, 0]
    ratio = (measured / layout.spacing_m)[face & measured.isfinite()]
    assert 0.9 < ratio.median() < 1.15


def test_gather_scatter():
    layout = uv_layout(32)
    values = torch.arange(layout.count * 2.0).reshape(-1, 2)
    page = layout.scatter(values, -1)
    assert page.shape == (2, 32, 32)
    assert (layout.gather(page) == values).all()
    assert (page[:, ~layout.valid] == -1).all()


def test_first_triangle_wins_on_a_shared_edge():
    square = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], float)
    texel, triangle, weights = rasterise(square, 4)
    assert (texel == np.arange(16)).all()
    assert (triangle.reshape(4, 4) == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]).all()
    assert np.allclose(weights.sum(1), 1)


@pytest.mark.parametrize("size", [0, 7, 5000])
def test_bad_size(size: int):
    with pytest.raises(InvalidInputError, match="texels"):
        uv_layout(size)
