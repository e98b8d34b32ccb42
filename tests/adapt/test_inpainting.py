"""Training of the Body Inpainter: pasted heads come nearer to the frames they replace."""

from __future__ import annotations

import dataclasses

import numpy as np

from ggtalker_core.adapt import AdaptConfig, adapt_avatar
from ggtalker_core.adapt.config import InpainterStage, Stage
from ggtalker_core.adapt.inpainting import InpainterFit
from ggtalker_core.body import BodyConfig, inpaint
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip, synthetic_track


def test_it_helps_where_the_rendering_is_poor(scene):
    """A map of few steps, set back as a whole head into its own frames: with the network the picture is nearer."""
    config = dataclasses.replace(
        AdaptConfig.tiny(), stages=(Stage("map", 6),), inpainter=InpainterStage(120, crop_px=64, rate=2e-3)
    )
    avatar = adapt_avatar(scene.clip, scene.track, config, matte_of=scene.matte_of())
    loop = avatar.body.track
    head = AvatarRenderer(avatar).video(loop.to_motion())
    start = int(np.abs(scene.track.landmarks_px - loop.landmarks_px[:1]).sum((1, 2)).argmin())
    truth = [image.astype(float) for image in scene.clip.frames(start, start + loop.count)]

    def error(with_network: bool) -> float:
        video = inpaint(avatar, head, BodyConfig(region="head", inpainter=with_network))
        return float(np.mean([((f.rgb - t) ** 2).mean() for f, t in zip(video.source.frames(), truth)]))

    assert error(True) < 0.7 * error(False)


def test_a_network_that_makes_unseen_frames_worse_is_left_out(monkeypatch):
    """Fifty frames, two of them kept out; the training is made to ruin the network."""
    truth, track = synthetic_avatar(32, 2, (64, 64)), synthetic_track(50, (64, 64), sway=1.2)
    clip, mattes = synthetic_clip(truth, track)
    known = track.landmarks_px.numpy()
    config = dataclasses.replace(
        AdaptConfig.tiny(), stages=(Stage("map", 20),), inpainter=InpainterStage(8, crop_px=48)
    )

    def ruined(self: InpainterFit, optimizer: object, shrink: int) -> float:
        for value in self.network.parameters():
            value.data += 0.3
        return 1.0

    monkeypatch.setattr(InpainterFit, "_step", ruined)
    avatar = adapt_avatar(
        clip, track, config, matte_of=lambda _, points: mattes[int(np.abs(known - points).sum((1, 2)).argmin())]
    )  # fmt: skip
    assert avatar.inpainter is None
    assert avatar.info.history[-1].steps == 2 and avatar.info.history[-1].of == 8, "given up after a quarter"
    assert any("it is left out" in note for note in avatar.info.notes)
