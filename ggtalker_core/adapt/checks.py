"""What must hold before hours of work begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConsentRequiredError, InvalidInputError, NoFaceError
from ..provenance.consent import check_consent
from ..types import ConsentRecord

if TYPE_CHECKING:
    from ..types import ReferenceClip, Track

_WILD = 3.0  # a landmark error of so many times the median is a frame that was tracked wrongly


def checked_consent(consent: ConsentRecord | None, clip: ReferenceClip) -> ConsentRecord:
    """The consent that covers this adaptation. Raises ConsentRequiredError when there is none or it has expired."""
    record = consent or clip.consent
    if record is None or not record.statement.strip():
        raise ConsentRequiredError(
            f"Nobody has stated consent for '{clip.name}'. An avatar of a person may only be made with that person's "
            "agreement: state on what it rests (yourself, a written consent, a licensed data set, a synthetic person)."
        )
    return check_consent(record)


def check_match(clip: ReferenceClip, track: Track) -> None:
    """Raise InvalidInputError unless the track was made from this very clip."""
    if track.count != clip.count or track.size_px != clip.size_px:
        raise InvalidInputError(
            f"The track does not belong to the clip '{clip.name}': the clip has {clip.count} frames of "
            f"{clip.size_px[0]}x{clip.size_px[1]}, the track {track.count} of {track.size_px[0]}x{track.size_px[1]}. "
            "Track this clip again, with the same trim and frame rate."
        )
    if track.clip_sha256 and clip.sha256 and track.clip_sha256 != clip.sha256:
        raise InvalidInputError(
            f"The track was made from another file than '{clip.name}' (checksum {track.clip_sha256[:12]}, the clip has "
            f"{clip.sha256[:12]}). Track this clip."
        )


def usable_frames(clip: ReferenceClip, track: Track, least: int) -> list[bool]:
    """Which frames the fit may look at. Raises NoFaceError when they are too few."""
    if not bool(track.valid.any()):
        raise NoFaceError(f"No face was found in '{clip.name}'. Choose a clip that shows one person's face.")
    limit = _WILD * float(track.error_px[track.valid].median()) + 1e-6
    usable = (track.valid & (track.error_px <= limit)).tolist()
    if sum(usable) < least:
        raise NoFaceError(
            f"Only {sum(usable)} frames of '{clip.name}' show the face well enough; at least {least} are needed. "
            "Choose a longer clip, or one in which the face is larger, lit and turned to the camera."
        )
    return usable
