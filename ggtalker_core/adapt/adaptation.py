"""The adaptation as one call: checks, one pass over the clip, the fit, the avatar."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import logging
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import __version__
from ..gaussians.avatar_renderer import rest_vertices
from ..gaussians.drive import same_branch
from ..gaussians.rigging import make_rig
from ..gaussians.texels import initial_texels, read_map, write_map
from ..progress import Progress, SubProgress, patiently, silent
from ..types import Avatar, AvatarInfo
from . import assembly
from .body_loop import decode_jpeg
from .checks import check_match, checked_consent, usable_frames
from .colors import first_colors
from .config import AdaptConfig, Stage
from .frame_parameters import FrameParameters
from .geometry import fresh
from .hair import hair_offset
from .hair_shape import size_change
from .heldout import held_out_psnr_db
from .history import FINISHED, Diary
from .inpainting import InpainterFit
from .matte import MatteOf
from .memory import MemoryNeed, check_memory, free_memory_mb, memory_need
from .optimise import Fitter, StepReport
from .own_voice import PriorOpening, prior_opening
from .pace import Throttle, TimeLeft
from .plan import check_start, left_over
from .preparation import Prepared, prepare
from .prior import drawn_texels, map_prior, stretch
from .sampling import frame_weights
from .style import speaking_style, style_token
from .sway import hair_sway

if TYPE_CHECKING:
    from ..head import HeadModel, UVLayout
    from ..types import ConsentRecord, ReferenceClip, Track

_REACH = 0.6  # standard deviation of a texel as a share of the way to its neighbour, at least
_PREPARED, _PAINTED = 0.12, 0.97  # shares of the progress bar
_BAR = 10000  # its parts
_WORTH_DB = 0.01  # a Body Inpainter that brings less costs time at every frame for nothing


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
    free_mb: float | None = None,
) -> Avatar:
    """Fit a Gaussian head to a tracked clip.

    Args:
        clip: the frames; read once.
        track: of exactly this clip.
        config: a preset of AdaptConfig; the draft by default.
        consent: who agreed to what; falls back to the clip's.
        resume: an avatar whose map is the start, made at the same UV size. A checkpoint of an interrupted run goes on
            with the stages that it lacks; a finished avatar runs through all stages again.
        progress: called at every step, with a picture (frame | rendering) every two seconds; may raise to cancel.
        device: of the fit.
        on_checkpoint: called with the avatar as it stands when the work is interrupted, before the exception goes on.
        matte_of: replaces the bundled person matte (image, landmarks) -> [H, W] uint8.
        name: of the avatar; the clip's by default.
        free_mb: free memory on the device, megabytes; asked of the system by default.

    Raises:
        ConsentRequiredError, NoFaceError (too few usable frames), InvalidInputError (track of another clip),
        IncompatibleFileError (an avatar to resume that does not fit), LimitExceededError (not enough memory).
    """
    with torch.inference_mode(False), torch.enable_grad():
        job = _Adaptation(clip, track, config or AdaptConfig.draft(), consent, resume, device, matte_of, name)
        check_memory(job.need, free_memory_mb(str(device)) if free_mb is None else free_mb, job.config.preset)
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
        assembly.check_resume(resume, track, config)
        check_start(config, resume is not None)
        self.clip, self.resume = clip, resume
        self.config = config if resume is None else left_over(config, resume.info)
        self.device = torch.device(device)
        self.need: MemoryNeed = memory_need(self.config, track, sum(self.usable), str(device))
        # The host may hand over tensors made in inference mode, which autograd refuses.
        own = fresh(track)
        # Small changes of a rotation must mean the same in every frame, also where axis-angles wrap.
        own = dataclasses.replace(own, rotation_rad=same_branch(own.rotation_rad))
        self.track: Track = own if resume is None else assembly.resumed_track(own, resume)
        self.head: HeadModel = fresh(load_head(track.head_model))
        self.layout: UVLayout = fresh(uv_layout(config.uv_size, None if track.head_model == "default" else self.head))
        self.matte_of = matte_of or _bundled_matte(str(device))
        self.name = name or clip.name
        self.watermark_id = resume.info.watermark_id if resume else secrets.token_hex(8)
        self.stages_done: list[str] = [s for s in resume.info.stages_done if s != FINISHED] if resume else []
        self.diary = Diary(resume.info.history if resume else ())
        self.notes: list[str] = list(resume.info.notes) if resume else []
        self.inpainter = resume.inpainter if resume else None
        self.opening: PriorOpening | None = None
        self.token = None if resume is None or resume.style.token is None else resume.style.token.clone()
        self.sway = None if resume is None or resume.hair_sway is None else fresh(resume.hair_sway)

    def run(self, progress: Progress, on_checkpoint: Callable[[Avatar], None] | None) -> Avatar:
        progress(0, _BAR, f"needs {self.need.text()}")
        prepared = prepare(
            self.clip, self.track, self.usable, self.head, self.config, self.matte_of,
            SubProgress(progress, 0.0, _PREPARED),
        )  # fmt: skip
        begin = SubProgress(progress, _PREPARED, _PREPARED)
        # Asked for before the fit, so that a checkpoint of an interrupted run can be made at once.
        self.opening = prior_opening(self.head, self.track.shape, self.clip.audio, progress=begin)
        fitter, drawn, offset = patiently(lambda: self._fitter(prepared), begin, "first shape and colours")
        fitted = SubProgress(progress, _PREPARED, _PAINTED, resolution=_BAR)
        try:
            self._work(fitter, prepared, fitted)
        except BaseException:
            if on_checkpoint is not None:
                self._keep(on_checkpoint, fitter, prepared, drawn, offset)
            raise
        progress(1, 1, "the avatar is ready", fitter.picture(self._shown(prepared)))
        return self._avatar(fitter, prepared, drawn, offset, finished=True)

    def _work(self, fitter: Fitter, prepared: Prepared, progress: Progress) -> None:
        """All stages, with what each brings on the frames that were kept out."""
        throttle, clock, worked = Throttle(self.config.preview_every_s), TimeLeft(self.config.work), 0.0
        inpainting: InpainterFit | None = None

        def report(step: StepReport) -> None:
            nonlocal worked
            worked += step.work
            self.diary.step(step.stage, step.of or step.step, step.l1)
            picture = None
            if throttle.due():
                picture = fitter.picture(self._shown(prepared)) if inpainting is None else inpainting.picture()
            progress(
                round(_BAR * worked / max(self.config.work, 1e-9)), _BAR, step.words + clock.after(step.work), picture
            )
            if inpainting is None and step.stage not in self.stages_done[-1:]:
                self.stages_done.append(step.stage)

        def after_stage(stage: Stage) -> None:
            self.diary.end(held_out_psnr_db(fitter, prepared.held_out, self.track) if stage.steps > 0 else None)

        fitter.run(report, after_stage)
        self._note(fitter.frugal.note)
        self._learn_style(fitter, prepared, progress, worked)
        if self.config.inpainter.steps > 0:
            plate = None if prepared.plate_jpeg is None else decode_jpeg(prepared.plate_jpeg)
            inpainting = InpainterFit(fitter, max(self.clip.size_px), plate, self.config.inpainter, self.inpainter)
            gain = functools.partial(inpainting.gain_db, prepared.held_out, self.track)
            inpainting.run(report, lambda: _worth(gain()))
            self.diary.end(None)
            self._note(inpainting.frugal.note)
            self._take(inpainting, gain())

    def _take(self, inpainting: InpainterFit, gain_db: float | None) -> None:
        """Keep the Body Inpainter, unless it did not help frames that were kept out."""
        self.stages_done.append(self.config.inpainter.name)
        if gain_db is not None:
            word = "is kept" if _worth(gain_db) else "is left out"
            self._note(f"The Body Inpainter changes held-out frames by {gain_db:+.2f} dB inside the hole; it {word}.")
        if _worth(gain_db):
            self.inpainter = inpainting.weights()

    def _learn_style(self, fitter: Fitter, prepared: Prepared, progress: Progress, worked: float) -> None:
        """How this person articulates, from the track as the fit left it."""
        stage = self.config.style
        if not stage.read:
            return
        found = fitter.parameters.write_back(self.track, prepared.store.indices)
        here = worked / max(self.config.work, 1e-9)
        start = time.monotonic()
        telling = SubProgress(progress, here, here, f"{stage.name}: ")
        self.token = style_token(self.head, found, self.clip.audio, stage, self.config.seed, telling)
        if self.token is not None:
            self.diary.note(stage.name, stage.steps, time.monotonic() - start)
            self.stages_done.append(stage.name)

    def _note(self, note: str | None) -> None:
        """Tell the user, once."""
        if note is not None and note not in self.notes:
            self.notes.append(note)

    def _keep(
        self, on_checkpoint: Callable[[Avatar], None], fitter: Fitter, prepared: Prepared, drawn: Tensor, offset: Tensor
    ) -> None:
        """Hand out the checkpoint; a failure to keep it must not hide why the work was interrupted."""
        try:
            self._note(fitter.frugal.note)
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
            grown = assembly.growth(head, rig, layout)
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
            head, track.shape, offset, assembly.rig_rows(rig, drawn), assembly.texel_rows(texels, drawn), prior,
            prepared.store, parameters, config, self.device, self.sway,
        )  # fmt: skip
        fitter.visits = frame_weights(track, prepared.store.indices, config.hardness)
        if self.resume is not None and self.resume.color_mlp is not None:
            known = {key: value.clone() for key, value in self.resume.color_mlp.items()}
            fitter.go_on_with(known | {"features": known["features"][drawn]})
        return fitter, drawn, offset

    def _avatar(self, fitter: Fitter, prepared: Prepared, drawn: Tensor, offset: Tensor, finished: bool) -> Avatar:
        """The avatar as it stands."""
        track = fitter.parameters.write_back(self.track, prepared.store.indices)
        shape_m = fitter.present_offset_m.detach().cpu().clone()
        fitted = fitter.texels.detach()
        if not torch.equal(shape_m, offset):
            grown = size_change(self.head, self.layout, track.shape, offset, shape_m)[drawn, None]
            fitted.log_scale.add_(grown.to(self.device))
            fitter.limits.hold(fitted)
        texels = assembly.scattered(fitted.to("cpu"), drawn, self.layout)
        kept = list(prepared.store.indices)
        stages = tuple(dict.fromkeys(self.stages_done)) + ((FINISHED,) if finished else ())
        info = AvatarInfo(
            name=self.name,
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            pack_version=__version__,
            clip_sha256=self.clip.sha256,
            preset=self.config.preset,
            stages_done=stages,
            watermark_id=self.watermark_id,
            consent=self.consent,
            metrics={  # of this run
                "frames_used": float(prepared.store.count),
                "fit_psnr_db": assembly.fit_psnr_db(fitter, frames=6 if finished else 2),
                "frames_kept_out": float(0 if prepared.held_out is None else prepared.held_out.count),
                "memory_needed_mb": round(self.need.work + self.need.frames),
            },
            history=self.diary.records(),
            notes=tuple(self.notes),
        )
        mlp = None
        if fitter.mlp is not None:
            mlp = assembly.spread_features({k: v.detach().cpu() for k, v in fitter.mlp.items()}, drawn)
        return Avatar(
            head_model=track.head_model, shape=track.shape, offset_m=shape_m,
            gaussian_map=write_map(texels, self.layout), color_mlp=mlp,
            style=speaking_style(self.head, track, kept, self.opening, self.token), body=prepared.body(track),
            intrinsics_px=track.intrinsics_px,
            size_px=track.size_px, thumbnail=assembly.thumbnail(prepared.store), info=info,
            inpainter=self.inpainter,
            hair_sway=self.sway,
        )  # fmt: skip


def _worth(gain_db: float | None) -> bool:
    """Whether a Body Inpainter helps; without frames to tell it is believed."""
    return gain_db is None or gain_db >= _WORTH_DB


def _bundled_matte(device: str) -> MatteOf:
    from ..tracking.finder import FaceFinder

    return FaceFinder(device).matte
