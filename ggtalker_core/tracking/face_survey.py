"""The faces of a clip looked at here and there, before anything is tracked: a grade in words, with advice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..progress import Progress, silent
from ..types import ClipReport, ReferenceClip
from .topology import LIP_PAIRS, N_MESH, OUTER_EYE_LEFT, OUTER_EYE_RIGHT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .finder import FaceFinder

_GRADES = ("poor", "usable", "good")
_SHUT = 0.025  # gap between the lips, of the eye distance, under which a mouth is closed


@dataclass(frozen=True)
class FaceGrade:
    """When a face is called good, usable or poor."""

    good_face_px: float = 250.0  # brow to chin, as the capture guide asks
    usable_face_px: float = 110.0
    good_yaw_deg: float = 12.0  # to either side, of the whole range 24
    good_closed: float = 0.05  # share of frames with a closed mouth
    blurred: float = 25.0  # variance of the Laplacian of the face at 192 px
    light_change: float = 0.12  # of the mean brightness of the face
    lost: float = 0.1  # share of frames without a face


@dataclass(frozen=True)
class _Sight:
    """One frame's face."""

    height_px: float
    yaw_deg: float
    gap: float  # of the eye distance
    sharpness: float
    brightness: float
    faces: int


def with_faces(
    clip: ReferenceClip, frames: Iterable[NDArray[np.uint8]], *, config: FaceGrade | None = None,
    finder: FaceFinder | None = None, progress: Progress = silent,
) -> ReferenceClip:  # fmt: skip
    """The clip with what its faces say added to its report. `frames`: some of its frames, each looked at on its own."""
    from .finder import FaceFinder

    config, finder = config or FaceGrade(), finder or FaceFinder()
    sights: list[_Sight | None] = []
    pictures = list(frames)
    for i, frame in enumerate(pictures):
        progress(i, len(pictures), "Looking at the face")
        found = finder.detect_landmarks([frame])
        if bool(found.valid[0]):
            sights.append(_sight(frame, found.landmarks_px[0].numpy(), int(found.faces_seen[0])))
        else:
            sights.append(None)
    return dataclasses.replace(clip, report=_graded(clip.report, sights, config))


def _sight(frame: NDArray[np.uint8], points: NDArray[np.floating], faces: int) -> _Sight:
    import cv2
    import numpy as np
    import torch

    from ..head import load_head
    from .crops import square_of_points
    from .start import first_motion

    low, high = points[:N_MESH].min(0), points[:N_MESH].max(0)
    eyes = float(np.linalg.norm(points[OUTER_EYE_LEFT] - points[OUTER_EYE_RIGHT]))
    upper, lower = np.array(LIP_PAIRS).T
    gap = float(np.linalg.norm(points[upper] - points[lower], axis=1).max()) / max(eyes, 1.0)
    head = load_head()
    template = (head.template_m[head.landmarks.triangles] * head.landmarks.barycentric[..., None]).sum(1)[:N_MESH]
    size = torch.tensor([frame.shape[1], frame.shape[0]])
    seen = torch.from_numpy(points[:N_MESH]).float() - size / 2
    turn = first_motion(template, seen[None], 1.7 * float(size.max())).rotation[0]
    side = square_of_points(points, OUTER_EYE_RIGHT, OUTER_EYE_LEFT).side_px
    x0, y0 = (max(0, int(v)) for v in low)
    part = frame[y0 : int(high[1]) + 1, x0 : int(high[0]) + 1]
    gray = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY) if part.size else np.zeros((4, 4), np.uint8))
    size_192 = cv2.resize(gray, (192, 192), interpolation=cv2.INTER_AREA)
    return _Sight(
        height_px=side / 1.5,
        yaw_deg=float(torch.atan2(turn[0, 2], turn[0, 0]).rad2deg()),
        gap=gap,
        sharpness=float(cv2.Laplacian(size_192, cv2.CV_32F).var()),
        brightness=float(gray.mean()) / 255,
        faces=faces,
    )


def _graded(report: ClipReport, sights: list[_Sight | None], config: FaceGrade) -> ClipReport:
    """The report with findings, numbers and the lower of the two grades."""
    import statistics

    seen = [s for s in sights if s is not None]
    notes: list[tuple[int, str]] = []
    numbers = dict(report.numbers) | {"face_share": len(seen) / max(len(sights), 1)}
    if not seen:
        notes.append((0, "No face was found in the frames looked at. Choose a stretch in which one face is in view."))
    else:
        yaws, middle = sorted(s.yaw_deg for s in seen), statistics.median
        light = statistics.pstdev(s.brightness for s in seen) / max(statistics.mean(s.brightness for s in seen), 1e-3)
        numbers |= {
            "face_px": middle(s.height_px for s in seen), "yaw_low_deg": yaws[0], "yaw_high_deg": yaws[-1],
            "mouth_closed_share": sum(s.gap < _SHUT for s in seen) / len(seen),
            "face_sharpness": middle(s.sharpness for s in seen), "light_change": light,
            "most_faces": float(max(s.faces for s in seen)),
        }  # fmt: skip
        notes += _findings(numbers, config)
    level = min([_GRADES.index(report.grade), *(n for n, _ in notes)])
    return ClipReport(_GRADES[level], (*report.notes, *(text for _, text in notes)), numbers)


def _findings(n: dict[str, float], config: FaceGrade) -> list[tuple[int, str]]:
    """Each finding with the best grade it allows."""
    found: list[tuple[int, str]] = []
    if 1 - n["face_share"] > config.lost:
        found.append((1, f"In {1 - n['face_share']:.0%} of the frames looked at there is no face. Trim them away."))
    if n["face_px"] < config.good_face_px:
        level = 1 if n["face_px"] >= config.usable_face_px else 0
        text = f"The face is about {n['face_px']:.0f} px high; come closer until it has {config.good_face_px:.0f} px."
        found.append((level, text))
    if n["yaw_high_deg"] - n["yaw_low_deg"] < 2 * config.good_yaw_deg:
        found.append((1, (
            f"The head turns only from {n['yaw_low_deg']:.0f} to {n['yaw_high_deg']:.0f} degrees: ears and temples "
            "stay guesses. Turn it slowly to both sides once."
        )))  # fmt: skip
    if n["mouth_closed_share"] < config.good_closed:
        found.append((1, "The mouth is hardly ever closed: the rest pose is uncertain. Pause now and then."))
    if n["face_sharpness"] < config.blurred:
        found.append((1, "The face is blurred. Focus on it, light it better, use a shorter shutter."))
    if n["light_change"] > config.light_change:
        found.append((1, f"The light on the face changes by {n['light_change']:.0%}. Lock the exposure, light evenly."))
    if n["most_faces"] > 1:
        found.append((1, "Several faces are seen; the largest is followed. Crop, or mask the person you mean."))
    return found
