"""A camera that brightens and dims: the gain is found, the skin stays clean, the composite shows no step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ggtalker_core.adapt import AdaptConfig, adapt_avatar
from ggtalker_core.adapt.config import Stage
from ggtalker_core.adapt.exposure import exposure_of
from ggtalker_core.adapt.frames import FrameCollector
from ggtalker_core.adapt.geometry import NeckLine, plan_crops
from ggtalker_core.body import BodyConfig, inpaint
from ggtalker_core.body.parts import chin_height_m
from ggtalker_core.gaussians.avatar_file import load_avatar, save_avatar
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip, synthetic_track
from ggtalker_core.head import load_head
from ggtalker_core.types import Avatar, ReferenceClip, Track

COUNT = 40


@pytest.fixture(scope="module")
def person() -> tuple[Avatar, Track, ReferenceClip, list[np.ndarray]]:
    truth, track = synthetic_avatar(32, 2, (64, 64)), synthetic_track(COUNT, (64, 64), sway=1.2)
    return truth, track, *synthetic_clip(truth, track)


def drawn_gain() -> np.ndarray:
    """A ramp that then stands, with a little tint: log gain [T, 3], median 0."""
    ramp = 0.32 * np.clip(np.linspace(-1.0, 1.4, COUNT), -1, 1)
    gain = ramp[:, None] * np.array([1.0, 1.0, 0.9])
    return gain - np.median(gain, 0)


def exposed(clip: ReferenceClip, log_gain: np.ndarray) -> ReferenceClip:
    # Darker by a third first, so that nothing is clipped at white.
    pictures = [
        np.clip(picture * (0.66 * np.exp(g)), 0, 255).round().astype(np.uint8)
        for picture, g in zip(clip.source.pictures, log_gain)
    ]
    return dataclasses.replace(clip, source=dataclasses.replace(clip.source, pictures=pictures))


def found(clip: ReferenceClip, track: Track) -> torch.Tensor | None:
    head = load_head()
    chin = chin_height_m(head, track.shape)
    plan, neck = plan_crops(head, track, 64, chin), NeckLine.under(chin)
    kept = FrameCollector(range(track.count), plan, track.intrinsics_px)
    for i, image in enumerate(clip.frames()):
        matte = np.full(image.shape[:2], 255, np.uint8)
        kept.add(i, image, matte, track.landmarks_px[i].numpy(), neck.pixels(track, i))
    return exposure_of(head, track, kept.store())


def test_a_drawn_ramp_is_recovered(person):
    _, track, clip, _ = person
    gain, true = found(exposed(clip, drawn_gain()), track), drawn_gain().mean(1)
    assert gain is not None
    ours = gain.mean(1).numpy()
    error = (ours - np.median(ours)) - (true - np.median(true))
    assert np.abs(error).max() < 0.035 and error.std() < 0.015  # of a ramp of .64
    assert np.corrcoef(ours, true)[0, 1] > 0.99


def test_an_even_clip_is_left_alone(person):
    _, track, clip, _ = person
    assert found(clip, track) is None


def test_light_that_follows_the_head_is_no_exposure(person):
    """A side lamp: the face brightens as it turns towards it."""
    _, track, clip, _ = person
    turn = track.rotation_rad[:, 2].numpy()
    lamp = 0.05 * turn / np.abs(turn).max()
    assert found(exposed(clip, np.repeat(lamp[:, None], 3, 1)), track) is None


@pytest.fixture(scope="module")
def adapted(person) -> tuple[Avatar, Avatar, ReferenceClip]:
    """The avatar of the exposed clip with and without evening."""
    _, track, clip, mattes = person
    uneven, known = exposed(clip, drawn_gain()), track.landmarks_px.numpy()
    config = dataclasses.replace(AdaptConfig.tiny(), stages=(Stage("map", 60),), loop_s=1.2, held_out=0)

    def fit(even: bool) -> Avatar:
        return adapt_avatar(
            uneven, track, dataclasses.replace(config, even_exposure=even),
            matte_of=lambda _, points: mattes[int(np.abs(known - points).sum((1, 2)).argmin())],
        )  # fmt: skip

    return fit(True), fit(False), uneven


def test_the_composite_has_the_brightness_of_its_frames(person, adapted):
    even, plain, uneven = adapted
    track, frames = person[1], uneven.source.pictures
    start = int(np.abs(track.landmarks_px - even.body.track.landmarks_px[:1]).sum((1, 2)).argmin())

    def step(avatar: Avatar) -> float:
        """Worst difference of brightness in the middle of the face, as a share; the seam's own match is off."""
        head = AvatarRenderer(avatar).video(avatar.body.track.to_motion())
        made = inpaint(avatar, head, BodyConfig(region="face", match=0.0)).source.frames()
        worst = 0.0
        for i, frame in enumerate(made):
            true = frames[start + i]
            points = track.landmarks_px[start + i, :468].numpy()
            (x, y), reach = points.mean(0).astype(int), 6
            box = (slice(y - reach, y + reach), slice(x - reach, x + reach))
            worst = max(worst, abs(float(frame.rgb[box].mean() / true[box].mean()) - 1))
        return worst

    assert even.body.log_gain is not None and plain.body.log_gain is None
    assert step(even) < 0.05 < 0.1 < step(plain)


def test_the_gains_travel_in_the_file(adapted, tmp_path):
    even = adapted[0]
    back = load_avatar(save_avatar(even, tmp_path / "a.avatar.safetensors"))
    assert torch.equal(back.body.log_gain, even.body.log_gain)
