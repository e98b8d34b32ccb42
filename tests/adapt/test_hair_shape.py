"""The shape of hair and neck that the fit learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ggtalker_core.adapt import AdaptConfig, adapt_avatar
from ggtalker_core.adapt.config import Rates, Stage
from ggtalker_core.adapt.hair_shape import smooth_waves
from ggtalker_core.adapt.optimise import Fitter
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.drive import HeadPose
from ggtalker_core.head import load_head


def test_waves_are_smooth_and_leave_the_face_alone():
    head = load_head()
    waves = smooth_waves(head, 12)
    loose = head.regions.vertices("scalp", "neck")
    assert waves.shape == (head.n_vertices, 12)
    assert bool((waves[~loose] == 0).all())
    assert bool(((waves.abs().amax(0) - 1).abs() < 1e-6).all())
    edges = head.faces[head.regions.faces("scalp", "neck")]
    step = (waves[edges[:, 0], 0] - waves[edges[:, 1], 0]).abs().max()
    assert float(step) < 0.35


def test_the_avatar_draws_what_the_fit_drew(scene, monkeypatch):
    """The shape of the hair reaches the avatar, with sizes that suit the triangles at their new rest."""
    fitters: list[Fitter] = []
    run = Fitter.run

    def kept(self: Fitter, *told):
        fitters.append(self)
        run(self, *told)

    monkeypatch.setattr(Fitter, "run", kept)
    config = dataclasses.replace(
        AdaptConfig.tiny(), stages=(Stage("map", 25),), rates=Rates(hair=1e-3),
        inpainter=dataclasses.replace(AdaptConfig.tiny().inpainter, steps=0),
    )  # fmt: skip
    avatar = adapt_avatar(scene.clip, scene.track, config, matte_of=scene.matte_of())
    fitter = fitters[0]
    assert fitter.hair is not None and float(fitter.hair.offset_m().detach().norm(dim=1).max()) > 2e-3
    k = 3
    store = fitter.store
    shown = fitter.render(fitter.parameters.pose(k), k, 1, torch.zeros(3)).rgb[0].detach().numpy()
    frame = store.indices[k]
    renderer = AvatarRenderer(avatar)
    drawn, box = renderer.render_pose(HeadPose.of_track(scene.track, frame, frame + 1), renderer.camera())
    full = np.zeros((64, 64, 3), np.float32)
    full[box.y0 : box.y1, box.x0 : box.x1] = drawn.rgb[0].numpy()
    x, y = store.plan.origin_px[frame]
    part = full[y : y + store.plan.height_px, x : x + store.plan.width_px]
    assert store.plan.out_width == store.plan.width_px
    assert float(np.abs(part - shown).max()) < 0.02
