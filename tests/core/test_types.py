"""The dataclasses refuse what does not fit and cut what they are asked to cut."""

from fractions import Fraction

import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.types import AudioTrack, Camera, Gaussians, MotionTrack, Track, frame_count


def make_track(t: int = 6) -> Track:
    return Track(
        head_model="default",
        shape=torch.zeros(10),
        expression=torch.arange(t * 50.0).view(t, 50),
        jaw_rad=torch.zeros(t, 3),
        neck_rad=torch.zeros(t, 3),
        eyes_rad=torch.zeros(t, 6),
        rotation_rad=torch.zeros(t, 3),
        translation_m=torch.zeros(t, 3),
        intrinsics_px=torch.eye(3),
        size_px=(64, 48),
        fps=Fraction(25),
        valid=torch.ones(t, dtype=torch.bool),
        error_px=torch.zeros(t),
        landmarks_px=torch.zeros(t, 478, 2),
        clip_sha256="0" * 64,
    )


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [
        (Fraction(2), Fraction(25), 50),
        (Fraction(293504, 16000), Fraction(25), 459),  # 18.344 s
        (Fraction(1, 25), Fraction(25), 1),
        (Fraction(1, 48000), Fraction(25), 1),
        (Fraction(10), Fraction(30000, 1001), 300),
        (Fraction(1001, 30000) * 90000, Fraction(30000, 1001), 90000),  # no drift over 50 minutes
        (0, Fraction(25), 0),
    ],
)
def test_frame_count_is_the_exact_ceiling(seconds: Fraction, fps: Fraction, frames: int) -> None:
    assert frame_count(seconds, fps) == frames


def test_track_slices_every_per_frame_tensor() -> None:
    part = make_track().slice(2, 5)
    assert part.count == 3
    assert part.expression[0, 0] == 100
    assert part.landmarks_px.shape[0] == 3


def test_track_refuses_tensors_that_disagree() -> None:
    track = make_track()
    with pytest.raises(InvalidInputError, match=r"Track\.jaw_rad must have shape \[6, 3\], got \[5, 3\]"):
        Track(**{**track.__dict__, "jaw_rad": torch.zeros(5, 3)})


def test_track_to_motion_is_a_reenactment() -> None:
    motion = make_track().to_motion()
    assert motion.covers_upper_face
    assert motion.rotation_rad is not None


def test_motion_refuses_values_that_are_not_finite() -> None:
    bad = torch.zeros(3, 50)
    bad[1, 7] = float("nan")
    with pytest.raises(InvalidInputError, match="not finite"):
        MotionTrack(expression=bad, jaw_rad=torch.zeros(3, 3), fps=Fraction(25))


def test_motion_slice_cuts_the_audio_to_match() -> None:
    audio = AudioTrack(torch.arange(16000.0)[None] / 16000, 16000)
    motion = MotionTrack(torch.zeros(25, 50), torch.zeros(25, 3), Fraction(25), audio=audio)
    part = motion.slice(5, 10)
    assert part.audio is not None
    assert part.audio.waveform.shape[1] == 3200
    assert part.audio.waveform[0, 0] == audio.waveform[0, 3200]


def test_gaussians_and_camera_check_shapes() -> None:
    with pytest.raises(InvalidInputError, match="quats"):
        Gaussians(
            torch.zeros(1, 4, 3),
            torch.zeros(1, 5, 4),
            torch.zeros(1, 4, 3),
            torch.zeros(1, 4),
            torch.zeros(1, 4, 3),
        )
    with pytest.raises(InvalidInputError, match="positive"):
        Camera(torch.eye(4)[None], torch.eye(3)[None], 0, 5)


def test_to_moves_every_tensor() -> None:
    moved = make_track().to("meta")
    assert moved.expression.device.type == "meta"
    assert moved.valid.device.type == "meta"
