"""What hair and neck learn of how they hang."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ggtalker_core.adapt import AdaptConfig, adapt_avatar
from ggtalker_core.adapt.config import Rates, Stage
from ggtalker_core.adapt.hanging import Hanging, smooth_waves
from ggtalker_core.adapt.optimise import Fitter
from ggtalker_core.adapt.sway import at_rest
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.drive import HeadPose
from ggtalker_core.gaussians.sway import sway_offset
from ggtalker_core.gaussians.synthetic import synthetic_track
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


def test_a_neck_that_does_not_turn_with_the_head_can_be_learned():
    """Six numbers of the pose and a few waves hold the motion of a neck that stands still under a turning head."""
    head = load_head()
    track = synthetic_track(40, (64, 64), sway=1.2)
    turn = track.rotation_rad.clone()
    turn[:, 2] += 0.15 * torch.sin(torch.arange(40) * 0.7)  # beside pi about x this is a turn about the vertical
    still = at_rest(head, turn, track.translation_m)
    hanging = Hanging(head, still, torch.device("cpu"))
    low = head.regions.vertices("neck") & (head.template_m[:, 1] < head.template_m[:, 1].quantile(0.02))
    from ggtalker_core.head.pose import axis_angle_to_matrix

    rotation = axis_angle_to_matrix(turn)
    mean = axis_angle_to_matrix(still.rotation_rad[None])[0]
    rest = head.template_m[low]
    wanted = torch.einsum("tji,vj->tvi", rotation, rest @ mean.T) - rest  # R^T (mean rest) - rest
    wanted = wanted - wanted.mean(0)
    optimizer = torch.optim.Adam([hanging.amounts_m], lr=2e-4)
    for _ in range(200):
        found = sway_offset(hanging.sway(), turn, track.translation_m)[:, low]
        loss = (found - found.mean(0) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3 * float(wanted.square().mean())


def test_the_avatar_draws_what_the_fit_drew(scene, monkeypatch):
    """Shape and motion of the hair reach the avatar, with sizes that suit the triangles at their new rest."""
    fitters: list[Fitter] = []
    run = Fitter.run

    def kept(self: Fitter, report):
        fitters.append(self)
        run(self, report)

    monkeypatch.setattr(Fitter, "run", kept)
    config = dataclasses.replace(
        AdaptConfig.tiny(), stages=(Stage("map", 25),), rates=Rates(hanging=1e-3),
        inpainter=dataclasses.replace(AdaptConfig.tiny().inpainter, steps=0),
    )  # fmt: skip
    avatar = adapt_avatar(scene.clip, scene.track, config, matte_of=scene.matte_of())
    fitter = fitters[0]
    assert fitter.hanging is not None and float(fitter.hanging.shape_m().detach().norm(dim=1).max()) > 2e-3
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
