"""What `render` promises whatever the backend: shapes, refusals, determinism, devices, depth."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import torch

from ggtalker_core.errors import InvalidInputError, LimitExceededError
from ggtalker_core.render import api, render, render_depth
from ggtalker_core.types import Camera, Gaussians

FIELDS = ("means", "quats", "scales", "opacities", "colors")
BACKENDS = ("numba", "torch")


def one_gaussian(opacity: float = 0.8, scale_m: float = 0.1, z_m: float = 2.0) -> Gaussians:
    return Gaussians(
        means=torch.tensor([[[0.0, 0.0, z_m]]]), quats=torch.tensor([[[1.0, 0, 0, 0]]]),
        scales=torch.full((1, 1, 3), scale_m), opacities=torch.tensor([[opacity]]),
        colors=torch.tensor([[[1.0, 0.5, 0.25]]]),
    )  # fmt: skip


def square_camera(size: int = 33, focal: float = 50.0) -> Camera:
    k = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    return Camera(torch.eye(4)[None], k[None], size, size)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_gaussian_has_the_right_profile(backend: str) -> None:
    """Known answer: centre pixel = opacity * colour, and the fall-off of a round Gaussian of sqrt(s^2 + eps) px."""
    out = render(one_gaussian(), square_camera(), torch.ones(3), backend=backend)
    variance = (0.1 / 2.0 * 50.0) ** 2 + 0.3
    for offset in (0, 1, 3):
        want = 0.8 * torch.exp(torch.tensor(-0.5 * offset**2 / variance))
        assert out.alpha[0, 16, 16 + offset, 0] == pytest.approx(want.item(), abs=1e-6)
        assert out.alpha[0, 16 - offset, 16, 0] == pytest.approx(want.item(), abs=1e-6)
    red, green, blue = out.rgb[0, 16, 16].tolist()
    assert (red, green, blue) == pytest.approx((1.0, 1 - 0.8 * 0.5, 1 - 0.8 * 0.75), abs=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nearer_hides_farther(backend: str) -> None:
    near, far = one_gaussian(0.999, z_m=1.0), one_gaussian(0.999, z_m=2.0)
    both = Gaussians(**{n: torch.cat([getattr(far, n), getattr(near, n)], 1) for n in FIELDS})
    both.colors[0] = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
    red, green, _ = render(both, square_camera(), backend=backend).rgb[0, 16, 16].tolist()
    assert green == pytest.approx(0.999, abs=1e-6) and red < 0.002


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_gaussians_gives_the_background(backend: str) -> None:
    nothing = Gaussians(
        torch.zeros(1, 0, 3, requires_grad=True), torch.zeros(1, 0, 4), torch.zeros(1, 0, 3), torch.zeros(1, 0),
        torch.zeros(1, 0, 3),
    )  # fmt: skip
    out = render(nothing, square_camera(), torch.tensor([0.2, 0.4, 0.6]), backend=backend)
    assert torch.equal(out.rgb[0, 5, 7], torch.tensor([0.2, 0.4, 0.6])) and out.alpha.abs().max() == 0
    out.rgb.sum().backward()


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.filterwarnings("error")
def test_values_that_are_not_finite_are_named(cloud, field: str, bad: float, threads: str, monkeypatch) -> None:
    monkeypatch.setattr(api, "_MANY", 1)
    monkeypatch.setenv("GGTALKER_RASTER_THREADS", threads)
    value = getattr(cloud.gaussians, field).clone()
    value[0, 17] = bad
    with pytest.raises(InvalidInputError, match=rf"{field}.*Gaussian 17"):
        render(dataclasses.replace(cloud.gaussians, **{field: value}), cloud.camera)


@pytest.mark.filterwarnings("error")
def test_huge_but_finite_values_are_taken() -> None:
    """Their sum is not finite: that alone must not refuse them."""
    far = one_gaussian()
    many = Gaussians(**{n: getattr(far, n).expand(1, 40, *getattr(far, n).shape[2:]).clone() for n in FIELDS})
    many.means[0, 1:, 2] = 3e38
    assert render(many, square_camera(), backend="numba").alpha.max() == pytest.approx(0.8, abs=1e-6)


def test_bad_cameras_and_types_are_refused(cloud) -> None:
    g, c = cloud.gaussians, cloud.camera
    with pytest.raises(InvalidInputError, match="focal"):
        render(g, dataclasses.replace(c, intrinsics_px=-c.intrinsics_px))
    with pytest.raises(InvalidInputError, match="viewmat of frame 0"):
        render(g, dataclasses.replace(c, viewmat=c.viewmat * float("nan")))
    with pytest.raises(InvalidInputError, match="float32"):
        render(dataclasses.replace(g, means=g.means.double()), c)
    with pytest.raises(InvalidInputError, match="leading axis"):
        render(
            dataclasses.replace(g, means=g.means.expand(3, -1, -1)),
            dataclasses.replace(c, viewmat=c.viewmat.expand(2, 4, 4)),
        )
    with pytest.raises(InvalidInputError, match="near"):
        render(g, dataclasses.replace(c, near_m=2.0, far_m=1.0))
    with pytest.raises(InvalidInputError, match="background"):
        render(g, c, torch.zeros(4))


def test_gaussians_that_swamp_memory_are_refused() -> None:
    n = 4000
    g = one_gaussian(scale_m=50.0)
    many = Gaussians(**{name: getattr(g, name).expand(1, n, *getattr(g, name).shape[2:]) for name in FIELDS})
    camera = dataclasses.replace(square_camera(), width=4096, height=4096)
    with pytest.raises(LimitExceededError, match="tiles"):
        render(many, camera, backend="numba")


def _everything(scene, threads: str, monkeypatch) -> list[torch.Tensor]:
    monkeypatch.setenv("GGTALKER_RASTER_THREADS", threads)
    leaves = [getattr(scene.gaussians, name).clone().requires_grad_() for name in FIELDS]
    out = render(Gaussians(*leaves), scene.camera, scene.background, backend="numba")
    v_rgb, v_alpha = scene.weights()
    ((out.rgb * v_rgb).sum() + (out.alpha * v_alpha).sum()).backward()
    return [out.rgb.detach(), out.alpha.detach(), *(leaf.grad for leaf in leaves)]


def test_same_bits_for_any_number_of_threads(scene, monkeypatch) -> None:
    """Every stage is really split: the least number of Gaussians that pays for a thread is taken away."""
    from ggtalker_core.render.cpu import pipeline

    monkeypatch.setattr(pipeline, "_LEAST", 16)
    monkeypatch.setattr(api, "_MANY", 1)
    once = _everything(scene, "1", monkeypatch)
    for threads in ("1", "2", "3", "5"):
        for got, want in zip(_everything(scene, threads, monkeypatch), once):
            assert torch.equal(got, want), threads


def test_calls_from_several_threads_do_not_disturb_each_other(cloud, monkeypatch) -> None:
    monkeypatch.setenv("GGTALKER_RASTER_THREADS", "2")
    want = render(cloud.gaussians, cloud.camera, backend="numba").rgb
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            if not torch.equal(render(cloud.gaussians, cloud.camera, backend="numba").rgb, want):
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


def test_works_under_inference_mode_and_with_views(cloud) -> None:
    """ComfyUI runs nodes in inference mode; callers hand over slices and transposed tensors."""
    want = render(cloud.gaussians, cloud.camera, backend="numba").rgb
    colors = cloud.gaussians.colors.transpose(1, 2).contiguous().transpose(1, 2)
    with torch.inference_mode():
        got = render(dataclasses.replace(cloud.gaussians, colors=colors), cloud.camera, backend="numba").rgb
    assert torch.equal(got, want)


def test_backends_agree_on_many_gaussians() -> None:
    """16,384 Gaussians at 128x128: numba against plain torch, which shares no code with it beyond constants."""
    g = torch.Generator().manual_seed(3)
    n = 16_384
    normal = torch.nn.functional.normalize(torch.randn(1, n, 3, generator=g), dim=-1)
    gaussians = Gaussians(
        normal * 0.9 + torch.tensor([0, 0, 4.0]), torch.randn(1, n, 4, generator=g),
        torch.rand(1, n, 3, generator=g) * 0.03 + 0.005, torch.rand(1, n, generator=g),
        torch.rand(1, n, 3, generator=g),
    )  # fmt: skip
    camera = square_camera(128, 220.0)
    ours, plain = (render(gaussians, camera, backend=b) for b in BACKENDS)
    difference = (ours.rgb - plain.rgb).abs()
    # a pair that falls on the other side of 1/255 or of the stop changes one pixel a little
    assert difference.mean() <= 1e-5 and difference.max() <= 5e-3
    assert ours.alpha.max() > 0.999


def test_depth_is_the_distance_of_what_is_seen() -> None:
    means = one_gaussian(0.999, z_m=2.5)
    depth = render_depth(means, square_camera())
    assert depth.shape == (1, 33, 33, 1)
    assert depth[0, 16, 16, 0] == pytest.approx(2.5, abs=1e-5) and depth[0, 0, 0, 0] == 0
