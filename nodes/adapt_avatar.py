"""AdaptAvatar: train the person's Gaussian head on the tracked clip."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..ggtalker_core.errors import ConsentRequiredError, GGTalkerError
from ..ggtalker_core.progress import Progress, silent
from ..ggtalker_core.provenance.consent import BASES, TRIAL, check_consent, trial_consent
from ..ggtalker_core.types import ConsentRecord
from . import convert, host, widgets, wires

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..ggtalker_core.adapt import AdaptConfig
    from ..ggtalker_core.types import Avatar, ReferenceClip, Track

NOT_STATED = "not stated"
METRICS = {  # how the figures of an avatar read on the node
    "fit_psnr_db": "fit of the frames trained on, dB",
    "frames_kept_out": "frames kept out of the training",
    "frames_used": "frames trained on",
    "memory_needed_mb": "memory needed, MB",
}


class AdaptAvatar(io.ComfyNode):
    """A clip and its Track become an Avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerAdaptAvatar",
            display_name="Adapt Avatar (GGTalker)",
            category="GGTalker/avatar",
            description="Trains a 3D Gaussian head of this one person. Runs for minutes; can be cancelled and resumed.",
            search_aliases=["train avatar", "gaussian head", "create avatar", "personal model", "fit gaussians"],
            inputs=[
                wires.Clip.Input("clip", tooltip="From Load Reference Video."),
                wires.Track.Input("track", tooltip="From Track FLAME, of the same clip."),
                io.Combo.Input(
                    "preset",
                    options=["draft", "standard", "full"],
                    default="draft",
                    tooltip="draft: minutes on a CPU, good to judge the clip. standard: sharper, longer. full: the "
                    "paper's size, for a GPU.",
                ),
                io.String.Input("name", default="avatar", tooltip="What the avatar is called; written into its file."),
                io.Combo.Input(
                    "consent_basis",
                    options=[NOT_STATED, *BASES],
                    default=NOT_STATED,
                    tooltip="Why this face may be used: it is you, you hold written consent, a data set whose "
                    "licence allows it, or nobody real. trial: nothing is stated; marks cannot be turned off, and the "
                    "avatar speaks until tomorrow only.",
                ),
                io.String.Input(
                    "consent_statement",
                    default="",
                    multiline=True,
                    placeholder="Who agreed to what, when, and where that is written down",
                    tooltip="Stored in the avatar and in every video made with it.",
                ),
                widgets.seed("Same seed, clip and settings: same avatar."),
                wires.Avatar.Input(
                    "resume",
                    optional=True,
                    tooltip="An avatar of the same person to go on from, for example one saved when a run was "
                    "cancelled.",
                ),
                widgets.rare(
                    io.String,
                    "consent_expires",
                    default="",
                    tooltip="A day such as 2030-12-31 after which the avatar refuses to speak. Empty: never.",
                ),
                widgets.rare(
                    io.Boolean,
                    "graph_test",
                    default=False,
                    tooltip="Trains for a few seconds only, to test the graph. The avatar looks wrong and says so "
                    "in its metadata.",
                ),
                widgets.rare(
                    io.String,
                    "stages",
                    default="preset",
                    tooltip="preset: all stages of the preset, or what an interrupted avatar at resume lacks. Or "
                    "some of map, parameters, colors, style, inpainter, with commas between, in the order in which "
                    "they are to run; a name may come twice.",
                ),
                widgets.rare(
                    io.Float,
                    "minutes",
                    default=0.0,
                    min=0.0,
                    max=600.0,
                    step=0.5,
                    tooltip="How long to train, by the clock, shared out among the stages. 0: the steps of the preset. "
                    "With minutes no two runs are quite alike.",
                ),
            ],
            outputs=[
                wires.Avatar.Output(
                    "avatar", display_name="avatar", tooltip="The person, ready to speak. Save it with Save Avatar."
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="Three frames of the clip, each with the avatar in the same pose beside it.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Stages done, and what each brought on frames that were kept out of the training.",
                ),
                io.Image.Output(
                    "curves",
                    display_name="curves",
                    tooltip="The error over all steps, stage by stage, and how near frames that were kept out came.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, consent_basis: str, consent_statement: str, consent_expires: str = "", stages: str = "preset"
    ) -> bool | str:
        """Refuse at once, before minutes of tracking, what would be refused later."""
        try:
            recipe("draft", stages or "")
        except GGTalkerError as error:
            return str(error)
        if consent_basis is None or consent_statement is None:
            return True  # connected from another node: checked when it runs
        try:
            consent(consent_basis, consent_statement, consent_expires or "")
        except GGTalkerError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        clip: ReferenceClip,
        track: Track,
        preset: str,
        name: str,
        consent_basis: str,
        consent_statement: str,
        seed: int,
        resume: Avatar | None = None,
        consent_expires: str = "",
        graph_test: bool = False,
        stages: str = "preset",
        minutes: float = 0.0,
    ) -> io.NodeOutput:
        """Train; what a cancelled run had reached is kept as an avatar file."""
        from ..ggtalker_core.adapt import adapt_avatar
        from ..ggtalker_core.pipeline import warm_up

        record = consent(consent_basis, consent_statement, consent_expires)
        config = dataclasses.replace(recipe("tiny" if graph_test else preset, stages, minutes), seed=seed)
        with host.job() as job, host.whole_device():
            warm_up(config.backend, job.device, training=True, progress=job.progress)
            avatar = adapt_avatar(
                clip, track, config, consent=record, resume=resume, progress=job.progress, device=job.device,
                on_checkpoint=lambda part: keep(part, job.progress), name=name.strip() or None,
                free_mb=host.free_memory_mb(),
            )  # fmt: skip
            picture = convert.to_image(beside(avatar, job.device, job.progress))
        report = report_text(avatar)
        return io.NodeOutput(avatar, picture, report, curves(avatar), ui=convert.on_node(report, picture[:1]))


def beside(avatar: Avatar, device: str, progress: Progress = silent, count: int = 3) -> Iterator[NDArray[np.uint8]]:
    """Frames of the body loop, each with the avatar in the same pose at its right."""
    import numpy as np
    from PIL import Image

    from ..ggtalker_core.body import inpaint
    from ..ggtalker_core.gaussians.avatar_renderer import AvatarRenderer

    head = AvatarRenderer(avatar, device=device).video(avatar.body.track.to_motion())
    person = inpaint(avatar, head)
    for done, i in enumerate(convert.spread(avatar.body.count, count)):
        progress(done, count, "drawing the preview")
        after = next(iter(person.frames(i, i + 1))).rgb
        before = Image.open(BytesIO(avatar.body.frames_jpeg[i])).convert("RGB").resize(person.size_px)
        yield np.concatenate([np.asarray(before), after], axis=1)


def recipe(preset: str, stages: str = "preset", minutes: float = 0.0) -> AdaptConfig:
    """The preset with the chosen stages and time. Raises InvalidInputError."""
    from ..ggtalker_core.adapt import AdaptConfig
    from ..ggtalker_core.adapt.plan import chosen, within

    return within(chosen(AdaptConfig.named(preset), stages), minutes)


def curves(avatar: Avatar) -> Tensor:
    """The history of the training as an IMAGE."""
    from ..ggtalker_core.adapt.curves import history_picture

    return convert.to_image([history_picture(avatar.info.history)])


def keep(checkpoint: Avatar, progress: host.NodeProgress) -> None:
    """Save an interrupted adaptation where Load Avatar finds it, and say so on the node."""
    from ..ggtalker_core.gaussians.avatar_file import save_avatar

    name = re.sub(r"[^\w.-]+", "_", checkpoint.info.name)[:60]
    path = save_avatar(checkpoint, host.avatar_folder() / f"interrupted_{name}{host.AVATAR_SUFFIX}")
    progress.say(f"Stopped. Kept as far as it got: {path.name} in {path.parent}. To go on: Load Avatar, then resume.")


def consent(basis: str, statement: str, expires: str) -> ConsentRecord:
    """The statement as a record of today. Raises ConsentRequiredError."""
    if basis == TRIAL:
        return trial_consent(statement.strip() or "the avatar was made as a trial.")
    if basis == NOT_STATED or len(statement.strip()) < 10:
        raise ConsentRequiredError(
            "An avatar needs the consent of the person it shows. Choose consent_basis and write into "
            "consent_statement who "
            "agreed to what and when (at least ten letters)."
        )
    today = datetime.date.today().isoformat()
    return check_consent(ConsentRecord(basis, statement.strip(), today, expires.strip() or None))


def report_text(avatar: Avatar) -> str:
    """What an avatar says of itself, in lines."""
    from ..ggtalker_core.adapt.history import stage_lines

    info = avatar.info
    made = info.created[:16].replace("T", " ")
    lines = [f"{info.name}: preset {info.preset}, map {avatar.uv_size} x {avatar.uv_size}, {made}"]
    lines.append("Stages done: " + ("; ".join(info.stages_done) or "none"))
    lines += stage_lines(info.history) + [f"Note: {note}" for note in info.notes]
    lines += [f"{METRICS.get(key, key)}: {value:.4g}" for key, value in sorted(info.metrics.items())]
    if info.consent is not None:
        until = f", until {info.consent.expires}" if info.consent.expires else ""
        lines.append(f"Consent ({info.consent.basis}, {info.consent.date}{until}): {info.consent.statement}")
    lines.append(f"Watermark id: {info.watermark_id}")
    return "\n".join(lines)
