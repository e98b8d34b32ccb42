"""Training of the Body Inpainter: pasted heads come nearer to the frames they replace."""

from __future__ import annotations

import dataclasses

import numpy as np

from ggtalker_core.adapt import AdaptConfig, adapt_avatar
from ggtalker_core.adapt.config import InpainterStage, Stage
from ggtalker_core.body import BodyConfig, inpaint
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer


def test_it_helps_where_the_rendering_is_poor(scene):
    """A map of few steps, set back as a whole head into its own frames: with the network the picture is nearer."""
    config = dataclasses.replace(
        AdaptConfig.tiny(), stages=(Stage("map", 6),), inpainter=InpainterStage(120, crop_px=64, rate=4e-3)
    )
    avatar = adapt_avatar(scene.clip, scene.track, config, matte_of=scene.matte_of())
    loop = avatar.body.track
    head = AvatarRenderer(avatar).video(loop.to_motion())
    start = int(np.abs(scene.track.landmarks_px - loop.landmarks_px[:1]).sum((1, 2)).argmin())
    truth = [image.astype(float) for image in scene.clip.frames(start, start + loop.count)]

    def error(with_network: bool) -> float:
        video = inpaint(avatar, head, BodyConfig(region="head", inpainter=with_network))
        return float(np.mean([((f.rgb - t) ** 2).mean() for f, t in zip(video.source.frames(), truth)]))

    assert error(True) < 0.8 * error(False)
