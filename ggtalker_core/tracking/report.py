"""What the tracking has to say, in words."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .people import Shot
from .topology import LIPS

if TYPE_CHECKING:
    from torch import Tensor

_MOST_RANGES = 6
_MOST_FRAMES = 1000  # that medians are taken over


@dataclass(frozen=True)
class Findings:
    """The numbers behind the words."""

    name: str
    fps: Fraction
    size_px: tuple[int, int]
    valid: Tensor  # [T] bool
    seen: Tensor  # [T] bool: some face was found
    shots: tuple[Shot, ...]
    cuts: tuple[int, ...]
    faces: int
    poor: int  # frames left out because no head fits them
    focal_px: float
    iod_px: float
    error_px: Tensor  # [T, 468]


def frame_ranges(mask: Tensor, fps: Fraction) -> str:
    """The frames where `mask` [T] holds, as text: '12-15 (0.48-0.60 s), 40'."""
    ranges: list[tuple[int, int]] = []
    for i in mask.nonzero()[:, 0].tolist():
        if ranges and ranges[-1][1] == i - 1:
            ranges[-1] = (ranges[-1][0], i)
        else:
            ranges.append((i, i))
    words = [
        f"{a}-{b} ({float(a / fps):.2f}-{float(b / fps):.2f} s)" if b > a else f"{a} ({float(a / fps):.2f} s)"
        for a, b in ranges[:_MOST_RANGES]
    ]
    more = len(ranges) - _MOST_RANGES
    return ", ".join(words) + (f" and {more} more stretches" if more > 0 else "")


def report_text(findings: Findings) -> str:
    """The report, one finding per line."""
    f = findings
    total, good = len(f.valid), int(f.valid.sum())
    lines = [f"{total} frames at {float(f.fps):g} fps, {f.size_px[0]}x{f.size_px[1]}."]
    if good == total:
        lines.append("A face was fitted in every frame.")
    else:
        share = (total - good) / total
        lines.append(
            f"No face fitted in {total - good} frames ({share:.1%}), interpolated there: "
            f"{frame_ranges(~f.valid, f.fps)}."
        )
    lines += _people(f)
    if f.poor:
        lines.append(f"{f.poor} frames were left out because no head explains what was found in them.")
    shown = f.valid.nonzero()[:, 0]
    errors = f.error_px[shown[:: 1 + len(shown) // _MOST_FRAMES]].float() / f.iod_px * 100
    lines.append(
        f"Landmark error: median {float(errors.median()):.2f} % of the distance between the outer eye corners "
        f"({f.iod_px:.0f} px), lips {float(errors[:, list(LIPS)].median()):.2f} %."
    )
    lines.append(f"Focal length: {f.focal_px:.0f} px ({f.focal_px / max(f.size_px):.2f} times the longer side).")
    if f.iod_px < 50:
        lines.append("The face is small in the picture: mouth and eyes are known only coarsely. Come closer.")
    return "\n".join(lines)


def _people(f: Findings) -> list[str]:
    """Cuts, other people, several faces."""
    lines: list[str] = []
    cuts = [shot.start for shot in f.shots[1:]]
    if cuts:
        listed = ", ".join(str(c) for c in cuts[:12]) + (", ..." if len(cuts) > 12 else "")
        lines.append(
            f"{len(cuts)} hard cut{'s' if len(cuts) > 1 else ''} (at frame {listed}); motion is not smoothed over."
        )
    others = [shot for shot in f.shots if shot.person > 0]
    if others:
        spans = ", ".join(f"{shot.start}-{shot.stop - 1}" for shot in others[:_MOST_RANGES])
        lines.append(f"Another person is in view in frames {spans}: those frames are not used.")
    if f.faces > 1:
        lines.append(f"Up to {f.faces} faces were seen at once; the largest one was followed, the others ignored.")
    return lines
