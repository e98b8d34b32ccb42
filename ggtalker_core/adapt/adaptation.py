"""The adaptation as one call: checks, one pass over the clip, the fit, the avatar."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..errors import IncompatibleFileError
from ..gaussians.avatar_renderer import rest_vertices
from ..gaussians.drive import same_branch
from ..gaussians.rigging import Rig, make_rig, triangle_areas
from ..gaussians.texels import Texels, initial_texels, read_map, write_map
from ..progress import Progress, SubProgress, patiently, silent
from ..types import Avatar, AvatarInfo
from .body_loop import decode_jpeg
from .checks import check_match, checked_consent, usable_frames
from .colors import first_colors
from .config import AdaptConfig
from .frame_parameters import FrameParameters
from .geometry import fresh
from .hair import hair_offset
from .hair_shape import size_change
from .inpainting import InpainterFit
from .matte import MatteOf
from .optimise import Fitter, StepReport
from .own_voice import PriorOpening, prior_opening
from .pace import Throttle, TimeLeft
from .preparation import Prepared, prepare
from .prior import drawn_texels, map_prior, stretch
from .style import speaking_style
from .sway import hair_sway

if TYPE_CHECKING:
    from ..head import HeadModel, UVLayout
    from ..types import ConsentRecord, ReferenceClip, Track

_REACH = 0.6  # standard deviation of a texel as a share of the way to its neighbour, at least
_HIDDEN_LOGIT = -12.0  # of texels that are not drawn
_PREPARED, _PAINTED = 0.12, 0.97  # shares of the progress bar
INPAINTER = "body-inpainter"  # as a stage


def adapt_avatar(
    clip: ReferenceClip,
    track: Track,
    config: AdaptConfig | None = None,
    *,
    consent: ConsentRecord | None = None,
    resume: Avatar | None = None,
    progress: Progress = silent,
    device: torch.device | str = "cpu",
    on_checkpoint: Callable[[Avatar], None] | None = None,
    matte_of: MatteOf | None = None,
    name: str | None = None,
) -> Avatar:
    """Fit a Gaussian head to a tracked clip.

    Args:
        clip: the frames; read once.
        track: of exactly this clip.
        config: a preset of AdaptConfig; the draft by default.
        consent: who agreed to what; falls back to the clip's.
        resume: an avatar (a finished one or a checkpoint) whose map is the start, made at the same UV size.
        progress: called at every step, with a picture (frame | rendering) every two seconds; may raise to cancel.
        device: of the fit.
        on_checkpoint: called with the avatar as it stands when the work is interrupted, before the exception goes on.
        matte_of: replaces the bundled person matte (image, landmarks) -> [H, W] uint8.
        name: of the avatar; the clip's by default.

    Raises:
        ConsentRequiredError, NoFaceError (too few usable frames), InvalidInputError (track of another clip),
        IncompatibleFileError (an avatar to resume that does not fit).
    """
    with torch.inference_mode(False), torch.enable_grad():
        job = _Adaptation(clip, track, config or AdaptConfig.draft(), consent, resume, device, matte_of, name)
        return job.run(progress, on_checkpoint)


class _Adaptation:
    """The state of one adaptation between its steps."""

    def __init__(
        self, clip: ReferenceClip, track: Track, config: AdaptConfig, consent: ConsentRecord | None,
        resume: Avatar | None, device: torch.device | str, matte_of: MatteOf | None, name: str | None,
    ):  # fmt: skip
        from ..head import load_head, uv_layout

        self.consent = checked_consent(consent, clip)
        check_match(clip, track)
        self.usable = usable_frames(clip, track, config.min_frames)
        self.clip, self.config, self.resume = clip, config, resume
        self.device = torch.device(device)
        # The host may hand over tensors made in inference mode, which autograd refuses.
        own = fresh(track)
        # Small changes of a rotation must mean the same in every frame, also where axis-angles wrap.
        self.track: Track = dataclasses.replace(own, rotation_rad=same_branch(own.rotation_rad))
        self.head: HeadModel = fresh(load_head(track.head_model))
        self.layout: UVLayout = fresh(uv_layout(config.uv_size, None if track.head_model == "default" else self.head))
        self.matte_of = matte_of or _bundled_matte(str(device))
        self.name = name or clip.name
        self.watermark_id = resume.info.watermark_id if resume else secrets.token_hex(8)
        self.stages_done: list[str] = list(resume.info.stages_done) if resume else []
        self.inpainter = resume.inpainter if resume else None
        self.opening: PriorOpening | None = None
        self.sway = None if resume is None or resume.hair_sway is None else fresh(resume.hair_sway)
        _check_resume(resume, track, config)

    def run(self, progress: Progress, on_checkpoint: Callable[[Avatar], None] | None) -> Avatar:
        prepared = prepare(
            self.clip, self.track, self.usable, self.head, self.config, self.matte_of,
            SubProgress(progress, 0.0, _PREPARED),
        )  # fmt: skip
        begin = SubProgress(progress, _PREPARED, _PREPARED)
        # Asked for before the fit, so that a checkpoint of an interrupted run can be made at once.
        hearing = SubProgress(progress, _PREPARED, _PREPARED)
        self.opening = prior_opening(self.head, self.track.shape, self.clip.audio, progress=hearing)
        fitter, drawn, offset = patiently(lambda: self._fitter(prepared), begin, "first shape and colours")
        throttle = Throttle(self.config.preview_every_s)
        fitted = _PREPARED + (_PAINTED - _PREPARED) * self.config.fit_share
        sub = SubProgress(progress, _PREPARED, fitted)

        clock = TimeLeft(self.config.cost)

        def report(step: StepReport) -> None:
            picture = fitter.picture(self._shown(prepared)) if throttle.due() else None
            left = clock.after(step.cost)
            message = f"{step.stage}: step {step.done} of {step.total}, error {step.l1:.4f}{left}"
            sub(step.done, step.total, message, picture)
            if step.done == step.total or step.stage not in self.stages_done[-1:]:
                self.stages_done.append(step.stage)

        try:
            fitter.run(report)
            self._train_inpainter(fitter, prepared, clock, SubProgress(progress, fitted, _PAINTED))
        except BaseException:
            if on_checkpoint is not None:
                self._keep(on_checkpoint, fitter, prepared, drawn, offset)
            raise
        progress(1, 1, "the avatar is ready", fitter.picture(self._shown(prepared)))
        return self._avatar(fitter, prepared, drawn, offset, finished=True)

    def _train_inpainter(self, fitter: Fitter, prepared: Prepared, clock: TimeLeft, progress: Progress) -> None:
        """The Body Inpainter on the finished map; an interruption leaves the avatar with the one it had."""
        if self.config.inpainter.steps == 0:
            return
        plate = None if prepared.plate_jpeg is None else decode_jpeg(prepared.plate_jpeg)
        job = InpainterFit(fitter, max(self.clip.size_px), plate, self.config.inpainter, self.inpainter)

        def report(done: int, total: int, error: float) -> None:
            left = clock.after(self.config.inpainter.cost)
            progress(done, total, f"{INPAINTER}: step {done} of {total}, error {error:.4f}{left}")

        job.run(report)
        self.inpainter = job.weights()
        self.stages_done.append(INPAINTER)

    def _keep(
        self, on_checkpoint: Callable[[Avatar], None], fitter: Fitter, prepared: Prepared, drawn: Tensor, offset: Tensor
    ) -> None:
        """Hand out the checkpoint; a failure to keep it must not hide why the work was interrupted."""
        try:
            on_checkpoint(self._avatar(fitter, prepared, drawn, offset, finished=False))
        except Exception:
            logging.getLogger(__name__).exception("The checkpoint of '%s' could not be kept.", self.name)

    def _shown(self, prepared: Prepared) -> int:
        """The kept frame that previews show."""
        return prepared.store.count // 2

    def _fitter(self, prepared: Prepared) -> tuple[Fitter, Tensor, Tensor]:
        """The fit at its start, the texels that are drawn [N], the hair offset [V, 3]."""
        config, track, head, layout = self.config, self.track, self.head, self.layout
        if self.resume is not None:
            offset = self.resume.offset_m.clone()
        else:
            if self.config.sway:
                self.sway = hair_sway(head, track, prepared.store)
            offset, _ = hair_offset(head, track, prepared.store, self.sway)
            if track.offset_m is not None:  # a photometric track was found on the head with this relief
                offset = offset + track.offset_m
        rest = rest_vertices(head, track.shape, offset)
        rig = make_rig(layout, head.faces, rest)
        look = first_colors(head, track, prepared.store, layout, rig, offset, self.sway)
        points = layout.points(rest[None], head.faces)[0]
        drawn = drawn_texels(layout, head, points, prepared.chin_m)
        wider = stretch(head.template_m, rest, rig.used)[rig.texel_triangle]  # [N, 2]
        reach = _REACH * layout.spacing_m[:, None] * wider
        if self.resume is not None:
            texels = read_map(self.resume.gaussian_map.clone(), layout)
        else:
            grown = _growth(head, rig, layout)
            spread = dataclasses.replace(layout, spacing_m=layout.spacing_m * grown)
            texels = initial_texels(spread, look.color, config.gaussians)
            # Where hair or an ear stretches the skin, a texel must still reach its neighbours.
            flat = texels.log_scale[:, [0, 2]]
            least = reach.clamp(1e-6, config.gaussians.scale_most_m)
            texels.log_scale[:, [0, 2]] = torch.maximum(flat, least.log())
        hair = (offset.norm(dim=1)[head.faces[layout.triangle]] * layout.barycentric).sum(1)
        prior = map_prior(layout, head, drawn, points, hair, reach, look, config.gaussians, config.weights)
        parameters = FrameParameters(track, prepared.store.indices, config.rates)
        fitter = Fitter(
            head, track.shape, offset, _rows(rig, drawn), _texel_rows(texels, drawn), prior, prepared.store, parameters,
            config, self.device, self.sway,
        )  # fmt: skip
        return fitter, drawn, offset

    def _avatar(self, fitter: Fitter, prepared: Prepared, drawn: Tensor, offset: Tensor, finished: bool) -> Avatar:
        """The avatar as it stands."""
        track = fitter.parameters.write_back(self.track, prepared.store.indices)
        shape_m = fitter.present_offset_m.detach().cpu().clone()
        fitted = fitter.texels.detach()
        grown = size_change(self.head, self.layout, track.shape, offset, shape_m)[drawn, None]
        fitted.log_scale.add_(grown.to(self.device))
        fitter.limits.hold(fitted)
        texels = _scattered(fitted.to("cpu"), drawn, self.layout)
        kept = list(prepared.store.indices)
        stages = tuple(dict.fromkeys(self.stages_done)) + (("finished",) if finished else ())
        info = AvatarInfo(
            name=self.name,
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            pack_version=__version__,
            clip_sha256=self.clip.sha256,
            preset=self.config.preset,
            stages_done=stages,
            watermark_id=self.watermark_id,
            consent=self.consent,
            metrics={"frames_used": float(prepared.store.count), "fit_psnr_db": fit_psnr_db(fitter)},
        )
        mlp = None
        if fitter.mlp is not None:
            mlp = _spread_features({k: v.detach().cpu() for k, v in fitter.mlp.items()}, drawn)
        return Avatar(
            head_model=track.head_model, shape=track.shape, offset_m=shape_m,
            gaussian_map=write_map(texels, self.layout), color_mlp=mlp,
            style=speaking_style(self.head, track, kept, self.opening), body=prepared.body(track),
            intrinsics_px=track.intrinsics_px,
            size_px=track.size_px, thumbnail=_thumbnail(prepared), info=info,
            inpainter=self.inpainter,
            hair_sway=self.sway,
        )  # fmt: skip


def fit_psnr_db(fitter: Fitter, frames: int = 6) -> float:
    """PSNR inside the head of some of the fitted frames (not held out), in decibels."""
    errors: list[float] = []
    for k in np.unique(np.linspace(0, fitter.store.count - 1, frames).round().astype(int)):
        both = fitter.picture(int(k)).astype(np.float32) / 255
        image, shown = np.split(both, 2, axis=1)
        mask = (fitter.store.mattes[k] > 127) & (fitter.store.weights[k] > 127)
        errors.append(float(((image - shown) ** 2).mean(-1)[mask].mean()))
    return float(-10 * np.log10(max(float(np.mean(errors)), 1e-10)))


def _bundled_matte(device: str) -> MatteOf:
    from ..tracking.finder import FaceFinder

    return FaceFinder(device).matte


def _check_resume(resume: Avatar | None, track: Track, config: AdaptConfig) -> None:
    if resume is None:
        return
    if resume.head_model != track.head_model or resume.uv_size != config.uv_size:
        raise IncompatibleFileError(
            f"The avatar to go on with has head '{resume.head_model}' and {resume.uv_size} texels a side; this "
            f"adaptation has head '{track.head_model}' and {config.uv_size}. Choose the same preset, or start anew."
        )


def _growth(head: HeadModel, rig: Rig, layout: UVLayout) -> Tensor:
    """How much further apart the texels lie on this person than on the template, [N]: hair stretches triangles."""
    template = triangle_areas(head.template_m, rig.used).clamp_min(1e-12)
    return (rig.rest_area_m2 / template).sqrt().clamp(0.7, 5.0)[rig.texel_triangle]


def _rows(rig: Rig, keep: Tensor) -> Rig:
    """The rig of some of the texels."""
    return dataclasses.replace(
        rig, corners=rig.corners[keep], barycentric=rig.barycentric[keep], texel_triangle=rig.texel_triangle[keep]
    )


def _texel_rows(texels: Texels, keep: Tensor) -> Texels:
    return Texels(*(getattr(texels, item.name)[keep] for item in dataclasses.fields(texels)))


def _scattered(texels: Texels, drawn: Tensor, layout: UVLayout) -> Texels:
    """All texels again; those that are not drawn have the start values and no opacity."""
    out = initial_texels(layout)
    out.opacity_logit.fill_(_HIDDEN_LOGIT)
    for item in dataclasses.fields(Texels):
        getattr(out, item.name)[drawn] = getattr(texels, item.name)
    return out


def _spread_features(mlp: dict[str, Tensor], drawn: Tensor) -> dict[str, Tensor]:
    """The colour network with a row of features for every texel."""
    features = torch.zeros(int(drawn.shape[0]), int(mlp["features"].shape[1]))
    features[drawn] = mlp["features"]
    return mlp | {"features": features}


def _thumbnail(prepared: Prepared, side: int = 256) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture of the head from the middle of the kept frames, at most `side` pixels."""
    import cv2

    image = prepared.store.images[prepared.store.count // 2]
    scale = min(1.0, side / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
