"""From an avatar and a voice to a marked video, node by node, in inference mode as ComfyUI runs them."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

SIZE = (160, 128)
SECONDS = 0.5
RATE = 22050


@pytest.fixture(autouse=True)
def inference_mode() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("a node reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture(scope="module")
def avatar(core: Any) -> Any:
    with torch.inference_mode(False):
        return core("gaussians.synthetic").synthetic_avatar(32, 6, SIZE)


@pytest.fixture
def voice() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 2, round(SECONDS * RATE), generator=generator) * 0.1
    return {"waveform": noise, "sample_rate": RATE}


@pytest.fixture
def motion(node_module: Any, voice: dict[str, Any], avatar: Any) -> Any:
    node = node_module("audio_to_expression").AudioToExpression
    return node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=avatar).args[0]


def test_motion_has_the_length_of_the_voice_and_keeps_it(motion: Any, voice: dict[str, Any]) -> None:
    assert motion.count == math.ceil(SECONDS * 25)
    assert torch.equal(motion.audio.waveform, voice["waveform"][0]) and motion.audio.sample_rate == RATE
    assert not motion.expression.is_inference(), "a later training must be able to use it"


def test_same_seed_same_motion(node_module: Any, voice: dict[str, Any], motion: Any, avatar: Any) -> None:
    node = node_module("audio_to_expression").AudioToExpression
    again = node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=avatar).args[0]
    assert torch.equal(again.expression, motion.expression)
    still = node.execute(voice, 0.0, 0.0, 0.0, 0, avatar=avatar).args[0]
    assert torch.allclose(still.expression, avatar.style.rest_expression.expand_as(still.expression), atol=1e-5)


def test_the_manner_of_another_track(node_module: Any, core: Any, voice: dict[str, Any], avatar: Any) -> None:
    """A widely opening person's track changes how the avatar speaks, not its rest pose; a still moment is refused."""
    track_of, node = core("types").Track, node_module("audio_to_expression").AudioToExpression
    n = 60
    jaw = torch.zeros(n, 3)
    jaw[:, 0] = 0.12 * (1 + torch.sin(torch.arange(n) / 2))

    def track(frames: int) -> Any:
        zeros = torch.zeros(frames, 6)
        return track_of(
            head_model="default", fps=Fraction(25), size_px=(64, 64), shape=torch.zeros(10),
            expression=torch.zeros(frames, 50), jaw_rad=jaw[:frames], neck_rad=zeros[:, :3], eyes_rad=zeros,
            rotation_rad=zeros[:, :3], translation_m=zeros[:, :3], intrinsics_px=torch.eye(3),
            valid=torch.ones(frames, dtype=torch.bool), error_px=torch.zeros(frames),
            landmarks_px=torch.zeros(frames, 478, 2), clip_sha256="",
        )  # fmt: skip

    plain = node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=avatar).args[0]
    other = node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=avatar, manner_of=track(n)).args[0]
    assert other.count == plain.count and not torch.equal(other.expression, plain.expression)
    still = node.execute(voice, 0.0, 0.0, 0.0, 0, avatar=avatar, manner_of=track(n)).args[0]
    assert torch.allclose(still.expression, avatar.style.rest_expression.expand_as(still.expression), atol=1e-5)
    with pytest.raises(core("errors").InvalidInputError, match="one second"):
        node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=avatar, manner_of=track(10))


def test_a_prior_of_one_s_own(
    node_module: Any, core: Any, comfy: Any, voice: dict[str, Any], motion: Any, avatar: Any
) -> None:
    """A file in models/ggtalker/audio_priors is offered and speaks, without the bundled prior's style token."""
    host, node = node_module("host"), node_module("audio_to_expression").AudioToExpression
    assert host.audio_priors() == []
    regression = core("expression.prior").load_prior().regression_alone()
    folder = Path(comfy.models_dir) / "ggtalker" / "audio_priors"
    folder.mkdir(parents=True)
    core("expression.prior").save_prior(regression, folder / "mine.safetensors", {"data": "of a test"})
    assert host.audio_priors() == ["mine.safetensors"]
    prior = next(i for i in node.define_schema().inputs if i.id == "prior")
    assert prior.options == ["bundled", "mine.safetensors"]
    token = torch.ones(64)
    styled = dataclasses.replace(avatar, style=dataclasses.replace(avatar.style, token=token))
    mine = node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=styled, prior="mine.safetensors").args[0]
    same = node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=avatar, engine="regression").args[0]
    assert torch.allclose(mine.expression, same.expression, atol=2e-3) and mine.count == motion.count
    with pytest.raises(core("errors").UnreadableFileError, match="audio_priors"):
        node.execute(voice, 1.0, 1.0, 0.0, 0, avatar=avatar, prior="gone.safetensors")
    shutil.rmtree(folder)


def test_chain_of_three_equals_the_node_in_one(node_module: Any, avatar: Any, motion: Any) -> None:
    head = node_module("render").RenderGaussians.execute(avatar, motion).args[0]
    assert head.get_dimensions() == SIZE and head.get_frame_count() == motion.count
    person = node_module("inpaint_body").InpaintBody.execute(head).args[0]
    marked, manifest = node_module("watermark").Watermark.execute(person, "eu_ai", True).args
    whole, record = node_module("render").RenderTalkingVideo.execute(avatar, motion, "eu_ai", True).args
    for a, b in zip(marked.frames(), whole.frames(), strict=True):
        assert np.array_equal(a.rgb, b.rgb) and a.alpha is None
    for text in (manifest, record):
        assert json.loads(text)["watermark_id"] == avatar.info.watermark_id
    assert marked.talking.audio is motion.audio
    kept = node_module("host").manifest_folder() / f"{avatar.info.watermark_id}.jsonl"
    assert len(kept.read_text().splitlines()) == 2, "every marking leaves its record"


def test_a_frame_is_drawn_once_however_many_look_at_it(
    node_module: Any, core: Any, avatar: Any, motion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, int]] = []
    renderer = core("gaussians.avatar_renderer").AvatarRenderer
    real = renderer.pose
    monkeypatch.setattr(renderer, "pose", lambda self, m, a, b: (drawn.append((a, b)), real(self, m, a, b))[1])
    head = node_module("render").RenderGaussians.execute(avatar, motion).args[0]
    assert drawn == [], "nothing may be drawn before somebody looks"
    person = node_module("inpaint_body").InpaintBody.execute(head).args[0]
    for video in (person, head, person):
        assert sum(1 for _ in video.frames()) == motion.count
    assert sum(b - a for a, b in drawn) == motion.count


def test_images_of_a_range_with_their_mask(node_module: Any, avatar: Any, motion: Any, core: Any) -> None:
    head = node_module("render").RenderGaussians.execute(avatar, motion).args[0]
    node = node_module("video_to_images").VideoToImages
    images, mask, fps = node.execute(head, 2, 3).args
    assert images.shape == (3, SIZE[1], SIZE[0], 3) and mask.shape == (3, SIZE[1], SIZE[0]) and fps == 25.0
    assert 0.02 < mask.mean() < 0.98 and (images[mask == 0] == 0).all()
    assert node.execute(head, 2, 0).args[0].shape[0] == motion.count - 2
    with pytest.raises(core("errors").InvalidInputError, match="first_frame is 99"):
        node.execute(head, 99, 1)


def test_edited_images_go_back_into_the_body(node_module: Any, avatar: Any, motion: Any, core: Any) -> None:
    inpaint, to_images = node_module("inpaint_body").InpaintBody, node_module("video_to_images").VideoToImages
    head = node_module("render").RenderGaussians.execute(avatar, motion).args[0]
    images, mask, _ = to_images.execute(head, 0, 0).args
    plain = [f.rgb for f in inpaint.execute(head).args[0].frames()]
    same = [f.rgb for f in inpaint.execute(head, images=images, mask=mask).args[0].frames()]
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(plain, same)) <= 2
    red = images.clone()
    red[..., 1:] = 0
    edited = [f.rgb for f in inpaint.execute(head, images=red, mask=mask).args[0].frames()]
    assert np.abs(edited[0].astype(int) - plain[0]).max() > 40
    with pytest.raises(core("errors").InvalidInputError, match="Take all frames"):
        inpaint.execute(head, images=images[:2], mask=mask[:2])
    with pytest.raises(core("errors").InvalidInputError, match="needs `mask`"):
        inpaint.execute(head, images=images)


def test_a_video_of_nobody_is_refused_by_the_body(node_module: Any, core: Any) -> None:
    from comfy_api.latest import InputImpl, Types

    other = InputImpl.VideoFromComponents(Types.VideoComponents(images=torch.zeros(2, 8, 8, 3), frame_rate=25))
    with pytest.raises(core("errors").InvalidInputError, match="needs the video of Render Gaussians"):
        node_module("inpaint_body").InpaintBody.execute(other)


def test_nobody_speaks_after_the_consent_has_expired(node_module: Any, core: Any, avatar: Any, motion: Any) -> None:
    import dataclasses

    over = core("types").ConsentRecord("self", "I agreed for a year", "2020-01-01", "2021-01-01")
    late = dataclasses.replace(avatar, info=dataclasses.replace(avatar.info, consent=over))
    with pytest.raises(core("errors").ConsentRequiredError, match="expired"):
        node_module("render").RenderGaussians.execute(late, motion)


def test_avatar_is_saved_loaded_and_speaks_the_same(
    node_module: Any, comfy: ModuleType, avatar: Any, motion: Any
) -> None:
    files, render = node_module("avatar_files"), node_module("render").RenderGaussians
    saved = files.SaveAvatar.execute(avatar, "chain")
    assert saved.args[0] is avatar and saved.args[1] == "chain.avatar.safetensors"
    comfy.filename_list_cache.clear()
    assert files.LoadAvatar.validate_inputs("chain.avatar.safetensors") is True
    loaded = files.LoadAvatar.execute("chain.avatar.safetensors")
    assert loaded.args[1].shape[0] == 1 and avatar.info.watermark_id in loaded.args[2]
    assert loaded.ui["images"] and loaded.ui["ggtalker_report"] == [loaded.args[2]]
    first = next(iter(render.execute(avatar, motion).args[0].frames()))
    second = next(iter(render.execute(loaded.args[0], motion).args[0].frames()))
    assert np.abs(first.rgb.astype(int) - second.rgb).max() <= 1


def test_an_unknown_backend_is_told(node_module: Any, core: Any, avatar: Any, motion: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("gsplat may be there")
    with pytest.raises(core("errors").BackendUnavailableError):
        video = node_module("render").RenderGaussians.execute(avatar, motion, backend="gsplat").args[0]
        next(iter(video.frames()))


def test_the_avatar_is_shown_beside_the_clip(node_module: Any, avatar: Any) -> None:
    pictures = list(node_module("adapt_avatar").beside(avatar, "cpu"))
    assert len(pictures) == 3 and pictures[0].shape == (SIZE[1], 2 * SIZE[0], 3)
    for picture in pictures:
        before, after = picture[:, : SIZE[0]].astype(int), picture[:, SIZE[0] :].astype(int)
        assert np.abs(before - after).mean() < 12, "the same person in the same pose"
    assert np.abs(pictures[0].astype(int) - pictures[2]).max() > 20


def test_the_head_can_be_seen_from_the_sides_but_not_with_the_body(
    node_module: Any, core: Any, avatar: Any, motion: Any
) -> None:
    render, inpaint = node_module("render").RenderGaussians, node_module("inpaint_body").InpaintBody
    front = list(render.execute(avatar, motion).args[0].frames())
    orbit = render.execute(avatar, motion, orbit_deg=40.0).args[0]
    seen = list(orbit.frames())
    quarter = motion.count // 4
    assert np.abs(seen[0].rgb.astype(int) - front[0].rgb).mean() < 1, "the path begins in front"
    assert np.abs(seen[quarter].rgb.astype(int) - front[quarter].rgb).mean() > 3
    with pytest.raises(core("errors").InvalidInputError, match="orbit_deg"):
        inpaint.execute(orbit)


def test_a_voice_of_some_milliseconds_is_told(node_module: Any, avatar: Any) -> None:
    """It speaks all the same: one frame."""
    node = node_module("audio_to_expression").AudioToExpression
    blip = {"waveform": torch.full((1, 1, 80), 0.1), "sample_rate": 16000}
    made = node.execute(blip, 1.0, 1.0, 0.0, 0, avatar=avatar)
    assert made.args[0].count == 1 and "0.005 s only" in made.ui["ggtalker_report"][0]
