"""The adaptation as a whole, on a painted person: it learns from the pictures, can be stopped, resumed, repeated."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ggtalker_core import adapt
from ggtalker_core.adapt import AdaptConfig, adapt_avatar
from ggtalker_core.adapt.config import Stage
from ggtalker_core.errors import ConsentRequiredError, IncompatibleFileError, InvalidInputError, NoFaceError
from ggtalker_core.gaussians.avatar_file import load_avatar, save_avatar
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.synthetic import backdrop, synthetic_track
from ggtalker_core.types import Avatar, ConsentRecord, Track


def _pictures(avatar: Avatar, track: Track) -> list[tuple[np.ndarray, np.ndarray]]:
    """Colour in [0, 1] and coverage in [0, 1], full size."""
    frames = AvatarRenderer(avatar).frames(track.to_motion())
    return [(f.rgb / 255.0, f.alpha / 255.0) for f in frames if f.alpha is not None]


def _head_error(avatar: Avatar, truth: Avatar, track: Track) -> float:
    """Mean squared error inside the true head, over poses that the fit never saw."""
    errors: list[float] = []
    for (ours, _), (true, cover) in zip(_pictures(avatar, track), _pictures(truth, track)):
        inside = cover > 0.9
        inside[int(0.75 * inside.shape[0]) :] = False  # the neck is not drawn
        errors.append(float(((ours - true) ** 2)[inside].mean()))
    return float(np.mean(errors))


def _unseen() -> Track:
    return synthetic_track(40, (64, 64), sway=1.2).slice(21, 27)


def _recipe(steps: int = 40) -> AdaptConfig:
    stages = (Stage("map", steps), Stage("map+parameters", steps // 2, fit_parameters=True))
    return dataclasses.replace(AdaptConfig.tiny(), stages=stages)


@pytest.fixture(scope="module")
def fitted(scene) -> Avatar:
    return adapt_avatar(scene.clip, scene.track, _recipe(), matte_of=scene.matte_of())


def test_it_learns_from_the_pictures(scene, fitted):
    """On poses it never saw it beats a head of the mean colour, its own first colours, and a fit to other pictures."""
    ours = _head_error(fitted, scene.truth, _unseen())
    flat = fitted.gaussian_map.clone()
    shown = flat[13] > -5
    flat[10:13, shown] = flat[10:13, shown].mean(1, keepdim=True)
    mean_color = _head_error(dataclasses.replace(fitted, gaussian_map=flat), scene.truth, _unseen())
    assert ours < 0.25 * mean_color
    start = adapt_avatar(
        scene.clip, scene.track, dataclasses.replace(_recipe(), stages=(Stage("map", 1),)), matte_of=scene.matte_of()
    )
    assert ours < 0.8 * _head_error(start, scene.truth, _unseen())
    wrong = dataclasses.replace(scene.clip.source, pictures=[255 - p for p in scene.clip.source.pictures])
    other = adapt_avatar(
        dataclasses.replace(scene.clip, source=wrong), scene.track, _recipe(), matte_of=scene.matte_of()
    )
    assert _head_error(other, scene.truth, _unseen()) > 5 * ours


def test_the_silhouette_is_learned_too(scene, fitted):
    track = _unseen().slice(2, 3)
    ours, true = _pictures(fitted, track)[0][1][:45], _pictures(scene.truth, track)[0][1][:45]  # above the neck
    wrong = ((ours > 0.5) != (true > 0.5)).mean()
    assert wrong < 0.04
    assert np.abs(ours - true).mean() < 0.06  # at 32 x 32 texels an edge is soft


def test_the_avatar_is_complete(scene, fitted, tmp_path: Path):
    assert fitted.uv_size == 32 and fitted.info.preset == "tiny"
    assert fitted.info.stages_done == ("map", "map+parameters", "body-inpainter", "finished")
    assert fitted.inpainter is not None
    assert fitted.info.consent == scene.clip.consent and len(fitted.info.watermark_id) == 16
    assert fitted.body.count == 10 and fitted.body.track.size_px == (64, 64)  # 0.4 s
    assert fitted.body.plate_jpeg is not None
    assert fitted.info.metrics["fit_psnr_db"] > 20
    back = load_avatar(save_avatar(fitted, tmp_path / "a.avatar.safetensors"))
    assert torch.equal(back.gaussian_map, fitted.gaussian_map)
    assert back.inpainter is not None and back.inpainter.keys() == fitted.inpainter.keys()
    assert all(torch.equal(back.inpainter[name], value) for name, value in fitted.inpainter.items())


def test_nothing_is_drawn_below_the_neck_line(fitted):
    from ggtalker_core.head import load_head, uv_layout

    head, layout = load_head(), uv_layout(32)
    opacity = layout.gather(fitted.gaussian_map)[:, 13].sigmoid()
    points = layout.points(head.template_m[None], head.faces)[0]
    neck = layout.region == head.regions.names.index("neck")
    assert opacity[neck & (points[:, 1] < -0.104)].max() < 1 / 255
    assert opacity[neck & (points[:, 1] > -0.09)].mean() > 0.3


def test_no_gaussian_becomes_large(fitted):
    config = AdaptConfig.tiny()
    most = config.gaussians.scale_most_m * 128 / config.uv_size
    used = fitted.gaussian_map[6:10].abs().sum(0) > 0
    shown = used & (fitted.gaussian_map[13] > -11.0)
    assert float(fitted.gaussian_map[3:6, shown].exp().max()) < 1.001 * most


def test_same_seed_same_avatar(scene):
    a, b = (adapt_avatar(scene.clip, scene.track, AdaptConfig.tiny(), matte_of=scene.matte_of()) for _ in range(2))
    assert torch.equal(a.gaussian_map, b.gaussian_map)
    assert torch.equal(a.body.track.expression, b.body.track.expression)
    other = dataclasses.replace(AdaptConfig.tiny(), seed=1)
    c = adapt_avatar(scene.clip, scene.track, other, matte_of=scene.matte_of())
    assert not torch.equal(a.gaussian_map, c.gaussian_map)


def test_works_inside_the_hosts_inference_mode(scene):
    """ComfyUI runs nodes in inference mode; also tensors made there must serve."""
    with torch.inference_mode():
        track = synthetic_track(14, (64, 64), sway=1.6)
        avatar = adapt_avatar(scene.clip, track, AdaptConfig.tiny(), matte_of=scene.matte_of())
        again = adapt_avatar(scene.clip, track, AdaptConfig.tiny(), resume=avatar, matte_of=scene.matte_of())
    assert not avatar.gaussian_map.is_inference()
    outside = adapt_avatar(scene.clip, scene.track, AdaptConfig.tiny(), matte_of=scene.matte_of())
    assert torch.equal(avatar.gaussian_map, outside.gaussian_map)
    assert again.info.watermark_id == avatar.info.watermark_id


class _Stop(Exception):
    pass


def test_cancel_in_the_inpainters_stage_keeps_the_map(scene):
    kept: list[Avatar] = []

    def progress(done: int, total: int, message: str = "", preview: object = None) -> None:
        if message.startswith("body-inpainter: step 2 "):
            raise _Stop

    with pytest.raises(_Stop):
        adapt_avatar(
            scene.clip, scene.track, AdaptConfig.tiny(), progress=progress, on_checkpoint=kept.append,
            matte_of=scene.matte_of(),
        )  # fmt: skip
    assert kept[0].info.stages_done == ("map", "map+parameters") and kept[0].inpainter is None


def test_cancel_keeps_a_checkpoint_that_can_be_seen_and_resumed(scene, tmp_path: Path):
    kept: list[Avatar] = []

    def progress(done: int, total: int, message: str = "", preview: object = None) -> None:
        if "step 8 " in message:
            raise _Stop

    with pytest.raises(_Stop):
        adapt_avatar(
            scene.clip, scene.track, _recipe(), progress=progress, on_checkpoint=kept.append, matte_of=scene.matte_of()
        )
    assert len(kept) == 1 and kept[0].info.stages_done == ("map",)
    checkpoint = load_avatar(save_avatar(kept[0], tmp_path / "part.avatar.safetensors"))
    frame = next(AvatarRenderer(checkpoint).frames(scene.track.to_motion()))
    assert frame.alpha is not None and frame.alpha.max() > 200
    resumed = adapt_avatar(scene.clip, scene.track, _recipe(), resume=checkpoint, matte_of=scene.matte_of())
    assert resumed.info.watermark_id == checkpoint.info.watermark_id
    before = _head_error(checkpoint, scene.truth, _unseen())
    assert _head_error(resumed, scene.truth, _unseen()) < before


def test_a_failing_checkpoint_writer_does_not_hide_the_cancellation(scene):
    def progress(done: int, total: int, message: str = "", preview: object = None) -> None:
        if "step 3 " in message:
            raise _Stop

    def fails(_: Avatar) -> None:
        raise OSError("disk full")

    with pytest.raises(_Stop):
        adapt_avatar(
            scene.clip, scene.track, AdaptConfig.tiny(), progress=progress, on_checkpoint=fails,
            matte_of=scene.matte_of(),
        )  # fmt: skip


def test_progress_rises_and_brings_pictures(scene):
    seen: list[tuple[float, bool]] = []

    def progress(done: int, total: int, message: str = "", preview: object = None) -> None:
        seen.append((done / total, preview is not None))

    adapt_avatar(scene.clip, scene.track, AdaptConfig.tiny(), progress=progress, matte_of=scene.matte_of())
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert any(picture for _, picture in seen)
    assert len(seen) > AdaptConfig.tiny().steps


def test_resume_with_another_map_size_is_refused(scene, fitted):
    config = dataclasses.replace(AdaptConfig.tiny(), uv_size=16)
    with pytest.raises(IncompatibleFileError, match="32 texels"):
        adapt_avatar(scene.clip, scene.track, config, resume=fitted, matte_of=scene.matte_of())


def test_consent_is_asked_for(scene):
    clip = dataclasses.replace(scene.clip, consent=None)
    for consent in (
        None, ConsentRecord("self", "  ", "2026-01-01"), ConsentRecord("whatever", "yes", "2026-01-01"),
        ConsentRecord("self", "yes", "2020-01-01", expires="2021-01-01"),
        ConsentRecord("self", "yes", "2020-01-01", expires="soon"),
    ):  # fmt: skip
        with pytest.raises(ConsentRequiredError):
            adapt_avatar(clip, scene.track, AdaptConfig.tiny(), consent=consent, matte_of=scene.matte_of())


def test_a_track_of_another_clip_is_refused(scene):
    with pytest.raises(InvalidInputError, match="14 frames"):
        adapt_avatar(scene.clip, scene.track.slice(0, 9), AdaptConfig.tiny(), matte_of=scene.matte_of())
    clip = dataclasses.replace(scene.clip, sha256="a" * 64)
    track = dataclasses.replace(scene.track, clip_sha256="b" * 64)
    with pytest.raises(InvalidInputError, match="another file"):
        adapt_avatar(clip, track, AdaptConfig.tiny(), matte_of=scene.matte_of())


def test_too_few_usable_frames(scene):
    lost = dataclasses.replace(scene.track, valid=torch.zeros(14, dtype=torch.bool))
    with pytest.raises(NoFaceError, match="No face"):
        adapt_avatar(scene.clip, lost, AdaptConfig.tiny(), matte_of=scene.matte_of())
    lost.valid[3:5] = True
    with pytest.raises(NoFaceError, match="Only 2 frames"):
        adapt_avatar(scene.clip, lost, AdaptConfig.tiny(), matte_of=scene.matte_of())


def test_frames_without_a_face_are_left_out(scene):
    lost = dataclasses.replace(scene.track, valid=scene.track.valid.clone())
    lost.valid[4] = False
    avatar = adapt_avatar(scene.clip, lost, AdaptConfig.tiny(), matte_of=scene.matte_of())
    assert avatar.info.metrics["frames_used"] == 13
    assert avatar.body.count == 9  # the longest stretch after the gap


def test_presets():
    assert AdaptConfig.draft().uv_size == 160 and AdaptConfig.standard().uv_size == 256
    assert AdaptConfig.full().uv_size == 512 and any(s.fit_colors for s in AdaptConfig.full().stages)
    assert AdaptConfig.named("draft") == AdaptConfig.draft()
    with pytest.raises(InvalidInputError, match="no preset"):
        AdaptConfig.named("best")
    assert adapt.AdaptConfig.draft().scaled(0.5).steps == pytest.approx(AdaptConfig.draft().steps / 2, abs=2)


def test_the_colour_network_is_fitted_when_asked_for(scene):
    stages = (Stage("map", 4), Stage("all", 10, fit_parameters=True, fit_colors=True))
    config = dataclasses.replace(AdaptConfig.tiny(), stages=stages)
    avatar = adapt_avatar(scene.clip, scene.track, config, matte_of=scene.matte_of())
    assert avatar.color_mlp is not None and avatar.color_mlp["b3"].abs().sum() > 0
    assert next(AvatarRenderer(avatar).frames(scene.track.to_motion())).rgb.max() > 50


def test_odd_sizes(scene):
    """A picture whose sides are no multiples of anything, larger than the fit works at."""
    from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip

    truth = synthetic_avatar(16, 2, (157, 211))
    track = synthetic_track(4, (157, 211))
    clip, mattes = synthetic_clip(truth, track)
    matte_of = dataclasses.replace(scene, track=track, mattes=mattes).matte_of()
    avatar = adapt_avatar(clip, track, AdaptConfig.tiny(), matte_of=matte_of)
    assert avatar.size_px == (157, 211)
    frame = next(AvatarRenderer(avatar).frames(track.to_motion()))
    assert frame.rgb.shape == (211, 157, 3)
    true = next(AvatarRenderer(truth).frames(track.to_motion()))
    both = (frame.alpha > 200) & (true.alpha > 200)
    assert both.sum() > 0.5 * (true.alpha > 200).sum()
    difference = np.abs(frame.rgb[both].astype(float) - true.rgb[both]).mean()
    assert difference < 25, difference
    assert backdrop((157, 211)).shape == (211, 157, 3) and clip.fps == Fraction(25)
