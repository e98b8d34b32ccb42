"""The widgets of the marks, shared by Watermark and RenderTalkingVideo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..ggtalker_core.errors import GGTalkerError
from ..ggtalker_core.provenance.config import CORNERS, DURATIONS, PRESETS, LabelConfig
from . import host, widgets

if TYPE_CHECKING:
    from ..ggtalker_core.types import TalkingVideo


@dataclass(frozen=True)
class MarkSettings:
    """What the widgets say."""

    label: str = "eu_generated"
    invisible: bool = True
    label_text: str = ""
    corner: str = "top_right"
    size_pct: float = 5.0
    duration: str = "always"
    strength: float = 1.0
    watermark_id: str = ""

    def label_config(self) -> LabelConfig:
        """The visible label. Raises InvalidInputError when the widgets do not go together."""
        return LabelConfig(
            preset=self.label, text=self.label_text, corner=self.corner, size_pct=self.size_pct, duration=self.duration
        )

    def problem(self) -> str | None:
        """What is wrong with the widgets, or None."""
        from ..ggtalker_core.provenance.payload import check_watermark_id

        try:
            self.label_config()
            if self.watermark_id:
                check_watermark_id(self.watermark_id)
        except GGTalkerError as error:
            return str(error)
        return None

    def mark(self, talking: TalkingVideo) -> TalkingVideo:
        """The same lazy video with the marks; nothing is rendered here."""
        from ..ggtalker_core.provenance.mark import mark

        with host.ordinary_tensors():
            return mark(
                talking,
                watermark=self.invisible,
                label=self.label_config(),
                strength=self.strength,
                watermark_id=self.watermark_id or None,
                store=host.manifest_folder(),
            )


def inputs() -> list[io.Input]:
    """The widgets, the two main ones first."""
    return [
        io.Combo.Input(
            "label",
            options=[*PRESETS, "text", "none"],
            default="eu_generated",
            tooltip="The visible label: "
            + ", ".join(f"{key} = {value}" for key, value in PRESETS.items())
            + ", text = your own, none = no label (written into the file).",
        ),
        io.Boolean.Input(
            "invisible",
            default=True,
            tooltip="An invisible mark with the avatar's id that survives re-encoding, cropping and scaling. "
            "Turning it off is written "
            "into the file.",
        ),
        widgets.rare(
            io.String,
            "label_text",
            default="",
            tooltip="The wording when label is 'text'.",
        ),
        widgets.rare(
            io.Combo,
            "corner",
            options=list(CORNERS),
            default="top_right",
            tooltip="Where the label stands.",
        ),
        widgets.rare(
            io.Float,
            "size_pct",
            default=5.0,
            min=2.0,
            max=30.0,
            step=0.5,
            tooltip="Height of the letters in percent of the shorter side; the presets need at least 5.",
        ),
        widgets.rare(
            io.Combo,
            "duration",
            options=list(DURATIONS),
            default="always",
            tooltip="always; start: the first 3 seconds; periodic: 3 seconds out of every 30.",
        ),
        widgets.rare(
            io.Float,
            "strength",
            default=1.0,
            min=0.5,
            max=2.0,
            step=0.1,
            tooltip="Of the invisible mark. 1 cannot be seen; 1.2 survives stronger compression.",
        ),
        widgets.rare(
            io.String,
            "watermark_id",
            default="",
            tooltip="16 hexadecimal digits to write instead of the avatar's own id.",
        ),
    ]


def widget_problem(label: str, label_text: str, size_pct: float, watermark_id: str) -> str | None:
    """What is wrong with these widgets; None also while one of them comes from another node."""
    if any(value is None for value in (label, label_text, size_pct, watermark_id)):
        return None
    return MarkSettings(label, True, label_text, size_pct=size_pct, watermark_id=watermark_id).problem()


def manifest(talking: TalkingVideo) -> str:
    """What was written into the video's metadata."""
    from ..ggtalker_core.provenance.manifest import TAG_MANIFEST

    return talking.marks.get(TAG_MANIFEST, "")
