"""Edits on motion: known answers."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

from ggtalker_core.errors import GGTalkerError, IncompatibleFileError, InvalidInputError, UnreadableFileError
from ggtalker_core.motion import (
    BlinkConfig,
    SmoothConfig,
    add_blinks,
    blink_closure,
    blink_times_s,
    hold_pose,
    load_motion,
    motion_of_track,
    ping_pong,
    retime,
    save_motion,
    savitzky_golay,
    scale_mouth,
    smooth_motion,
    take_pose,
    to_length,
)
from ggtalker_core.motion.rotations import from_quaternions, to_quaternions
from ggtalker_core.types import AudioTrack, MotionTrack, Track


def motion(count: int = 40, fps: Fraction = Fraction(25), pose: bool = True, seed: int = 0) -> MotionTrack:
    g = torch.Generator().manual_seed(seed)

    def walk(width: int, step: float) -> torch.Tensor:
        return (torch.randn(count, width, generator=g) * step).cumsum(0)

    rotation = torch.tensor([torch.pi, 0.0, 0.0]) + walk(3, 0.02)
    return MotionTrack(
        expression=walk(50, 0.1), jaw_rad=walk(3, 0.02), fps=fps, eyes_rad=walk(6, 0.01),
        rotation_rad=rotation if pose else None, translation_m=walk(3, 0.001) if pose else None,
    )  # fmt: skip


def matrices(rotation_rad: torch.Tensor) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(rotation_rad.double().numpy()).as_matrix()


def test_rotations_agree_with_scipy():
    g = torch.Generator().manual_seed(1)
    r = torch.randn(200, 3, generator=g, dtype=torch.float64)
    r = r / r.norm(dim=-1, keepdim=True) * torch.linspace(0, 3.14, 200, dtype=torch.float64)[:, None]
    from scipy.spatial.transform import Rotation

    ours = to_quaternions(r)
    theirs = Rotation.from_rotvec(r.numpy()).as_quat(scalar_first=True)
    assert np.allclose(np.abs((ours.numpy() * theirs).sum(-1)), 1, atol=1e-12)
    assert torch.allclose(from_quaternions(ours), r, atol=1e-7)


def test_gain_measures_from_the_rest_pose():
    m, rest, jaw = motion(), torch.randn(50), torch.tensor([0.05, 0, 0])
    out = scale_mouth(m, 1.5, rest_expression=rest, rest_jaw_rad=jaw)
    assert torch.allclose(out.expression, rest + 1.5 * (m.expression - rest), atol=1e-5)
    assert torch.allclose(out.jaw_rad, jaw + 1.5 * (m.jaw_rad - jaw), atol=1e-6)
    still = scale_mouth(m, 0.0, rest_expression=rest, rest_jaw_rad=jaw)
    assert torch.allclose(still.expression, rest.expand(40, 50), atol=1e-5)
    assert torch.equal(scale_mouth(m, 1.0).expression, m.expression)
    for bad in (-0.1, 5, float("nan")):
        with pytest.raises(InvalidInputError):
            scale_mouth(m, bad)


def test_gain_leaves_the_upper_face_alone():
    m = motion()
    projection = torch.zeros(50, 50)
    projection[:20, :20] = torch.eye(20)
    out = scale_mouth(m, 2.0, mouth_projection=projection)
    assert torch.allclose(out.expression[:, 20:], m.expression[:, 20:])
    assert torch.allclose(out.expression[:, :20], 2 * m.expression[:, :20], atol=1e-5)


@pytest.mark.parametrize(("window", "order"), [(5, 2), (9, 3), (3, 1), (7, 0)])
def test_filter_equals_scipy_in_the_middle_and_at_the_ends(window, order):
    from scipy.signal import savgol_filter

    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ours = savitzky_golay(x, window, order).numpy()
    assert np.allclose(ours, savgol_filter(x.numpy(), window, order, axis=0, mode="interp"), atol=1e-10)


def test_filter_keeps_polynomials_and_short_signals():
    t = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None]
    parabola = 3 - t + 2 * t**2
    assert torch.allclose(savitzky_golay(parabola, 5, 2), parabola, atol=1e-12)
    for n in (1, 2, 3):
        x = torch.randn(n, 2)
        assert savitzky_golay(x, 9, 2).shape == x.shape


def test_smoothing_removes_jitter_and_keeps_closures():
    t = torch.arange(100) / 25
    opening = 0.1 + 0.1 * torch.sin(2 * torch.pi * 2 * t)
    jaw = torch.stack([opening, 0 * t, 0 * t], 1)
    noise = 0.01 * torch.randn(100, 3, generator=torch.Generator().manual_seed(3))
    clean, noisy = jaw.clone(), jaw + noise
    noisy[40:43] = 0.0  # lips closed for three frames
    m = MotionTrack(torch.zeros(100, 50), noisy, Fraction(25))
    gap = torch.full((100,), 0.01)
    gap[40:43] = 0.0005
    out = smooth_motion(m, lip_gap_m=gap).jaw_rad
    assert torch.equal(out[40:43], noisy[40:43])
    far = torch.ones(100, dtype=torch.bool)
    far[36:47] = False
    assert (out - clean)[far].square().mean() < 0.6 * (noisy - clean)[far].square().mean()
    unprotected = smooth_motion(m).jaw_rad
    assert unprotected[40, 0] > 0.01, "without protection the filter opens the closure"


def test_smoothing_strength_and_errors():
    m = motion()
    assert smooth_motion(m, strength=0.0) is m
    half, full = smooth_motion(m, strength=0.5), smooth_motion(m)
    assert torch.allclose(half.expression, (m.expression + full.expression) / 2, atol=1e-5)
    with pytest.raises(InvalidInputError):
        smooth_motion(m, strength=2)
    with pytest.raises(InvalidInputError):
        smooth_motion(m, lip_gap_m=torch.zeros(3))
    with pytest.raises(InvalidInputError):
        SmoothConfig(window=4)


def test_pose_smoothing_is_safe_near_a_half_turn():
    """Axis-angle flips between +pi and -pi about x; the head must not spin."""
    t = torch.linspace(0, 1, 60)
    r = torch.stack([torch.pi + 0.05 * torch.sin(9 * t), 0.02 * t, 0 * t], 1)
    over = r[:, 0] > torch.pi
    r[over] = r[over] * (1 - 2 * torch.pi / r[over].norm(dim=-1, keepdim=True))
    m = dataclasses.replace(motion(60), rotation_rad=r)
    moved = matrices(smooth_motion(m).rotation_rad) @ matrices(r).transpose(0, 2, 1)
    angle = np.arccos(np.clip((np.trace(moved, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert np.degrees(angle).max() < 1.0


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(24), Fraction(50), Fraction(60000, 1001)])
def test_retime_samples_at_the_right_moments(fps):
    ramp = torch.arange(50).float()[:, None] / 25  # the value is the time in seconds
    m = dataclasses.replace(motion(50), expression=ramp.repeat(1, 50), jaw_rad=ramp.repeat(1, 3))
    out = retime(m, fps)
    assert out.count == int(np.ceil(Fraction(50, 25) * fps)) and out.fps == fps
    expected = np.minimum(np.arange(out.count) / float(fps), 49 / 25)
    assert np.allclose(out.expression[:, 7].numpy(), expected, atol=1e-5)
    assert np.allclose(matrices(out.rotation_rad)[0], matrices(m.rotation_rad)[0], atol=1e-5)


def test_retime_keeps_the_audio_and_its_count():
    audio = AudioTrack(torch.zeros(1, 29_281), 16_000)
    m = dataclasses.replace(motion(46), audio=audio)
    out = retime(m, Fraction(30))
    assert out.audio is audio and out.count == int(np.ceil(Fraction(29_281, 16_000) * 30))
    assert retime(m, Fraction(25)).count == 46
    with pytest.raises(InvalidInputError):
        retime(m, Fraction(0))


def test_blinks_are_repeatable_complete_and_as_often_as_told():
    config = BlinkConfig(per_minute=20)
    times = blink_times_s(3000.0, 7, config)
    assert times == blink_times_s(3000.0, 7, config) != blink_times_s(3000.0, 8, config)
    assert abs(len(times) / 50 - 20) < 2
    assert min(b - a for a, b in zip(times, times[1:])) >= config.length_s + config.shortest_pause_s - 1e-9
    assert blink_times_s(100.0, 0, BlinkConfig(per_minute=0)) == []
    for fps in (Fraction(24), Fraction(25), Fraction(30), Fraction(60)):
        closure = blink_closure(500, fps, [1.013, 3.021])
        assert closure.shape == (500, 2) and float(closure.min()) == 0 and float(closure.max()) == 1
        ones = (closure[:, 0] == 1).nonzero().flatten()
        assert any(abs(int(i) / fps - 1.11) < 0.06 for i in ones) and any(abs(int(i) / fps - 3.12) < 0.06 for i in ones)
        assert float(closure[int(2 * fps), 0]) == 0


def test_add_blinks_keeps_closed_lids_closed():
    m = dataclasses.replace(motion(500), eyelids=torch.full((500, 2), 0.4))
    out = add_blinks(m, seed=1, config=BlinkConfig.tiny())
    assert out.eyelids is not None and float(out.eyelids.min()) == pytest.approx(0.4) and float(out.eyelids.max()) == 1
    assert torch.equal(out.expression, m.expression)


def test_ping_pong():
    assert ping_pong(4, 10) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert ping_pong(1, 3) == [0, 0, 0] and ping_pong(2, 4) == [0, 1, 0, 1]
    with pytest.raises(InvalidInputError):
        ping_pong(0, 3)


def test_take_and_hold_pose():
    speech, other = motion(100, pose=False), motion(30, seed=5)
    out = take_pose(speech, other)
    index = ping_pong(30, 100)
    assert torch.equal(out.translation_m, other.translation_m[index])
    assert np.allclose(matrices(out.rotation_rad), matrices(other.rotation_rad[index]), atol=1e-5)
    assert torch.equal(out.expression, speech.expression)
    still = hold_pose(out, 3)
    assert torch.equal(still.translation_m, out.translation_m[3].expand(100, 3))
    for bad in (lambda: take_pose(speech, speech), lambda: hold_pose(speech), lambda: hold_pose(out, 100)):
        with pytest.raises(InvalidInputError):
            bad()


def test_to_length():
    m = motion(5)
    assert torch.equal(to_length(m, 3).jaw_rad, m.jaw_rad[:3])
    assert torch.equal(to_length(m, 8).expression, m.expression[[0, 1, 2, 3, 4, 3, 2, 1]])
    with pytest.raises(InvalidInputError):
        to_length(m, 0)


def test_file_round_trip(tmp_path):
    m = dataclasses.replace(motion(fps=Fraction(30000, 1001)), covers_upper_face=True)
    back = load_motion(save_motion(m, tmp_path / "a.motion.safetensors"))
    assert back.fps == m.fps and back.covers_upper_face and back.eyelids is None
    for name in ("expression", "jaw_rad", "eyes_rad", "rotation_rad", "translation_m"):
        assert torch.equal(getattr(back, name), getattr(m, name))
    assert [p.name for p in tmp_path.iterdir()] == ["a.motion.safetensors"]
    with pytest.raises(UnreadableFileError):
        save_motion(m, tmp_path / "none" / "a.motion.safetensors")


def test_bad_files(tmp_path):
    from safetensors.torch import save_file

    path = save_motion(motion(), tmp_path / "a.motion.safetensors")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for k in range(60):
        data = bytearray(whole[: len(whole) * k // 30] if k < 30 else whole)
        if k >= 30:
            data[int(rng.integers(0, 700))] ^= int(rng.integers(1, 256))
        (tmp_path / "b").write_bytes(bytes(data))
        try:
            load_motion(tmp_path / "b")
        except GGTalkerError:
            continue
        assert k >= 30, "a cut file was accepted"
    save_file({"x": torch.zeros(1)}, str(tmp_path / "c"), metadata={"format": "other"})
    with pytest.raises(IncompatibleFileError):
        load_motion(tmp_path / "c")
    wrong = {"expression": torch.zeros(4, 50), "jaw_rad": torch.full((4, 3), float("nan"))}
    meta = {"format": "ggtalker.motion", "format_version": "1", "fps": "25"}
    for tensors, extra in ((wrong, {}), ({"expression": torch.zeros(4, 50)}, {}), (wrong, {"fps": "1/0"})):
        save_file(tensors, str(tmp_path / "d"), metadata={**meta, **extra})
        with pytest.raises(IncompatibleFileError):
            load_motion(tmp_path / "d")


def track(count: int = 12, turn: float = 0.0, head: str = "default") -> Track:
    m = motion(count, seed=3)
    assert m.rotation_rad is not None and m.translation_m is not None and m.eyes_rad is not None
    return Track(
        head_model=head, shape=torch.zeros(4), expression=m.expression, jaw_rad=m.jaw_rad,
        neck_rad=torch.zeros(count, 3), eyes_rad=m.eyes_rad, rotation_rad=m.rotation_rad + torch.tensor([0, 0, turn]),
        translation_m=m.translation_m + torch.tensor([turn, 0, 0.8]), intrinsics_px=torch.eye(3), size_px=(64, 64),
        fps=Fraction(25), valid=torch.ones(count, dtype=torch.bool), error_px=torch.zeros(count),
        landmarks_px=torch.zeros(count, 478, 2), clip_sha256="",
    )  # fmt: skip


def test_a_track_moves_an_avatar_about_the_avatars_own_place():
    own, other = track(), track(9, turn=0.4)
    absolute = motion_of_track(own, "absolute")
    assert torch.equal(absolute.rotation_rad, own.rotation_rad) and absolute.covers_upper_face
    none = motion_of_track(own, "avatar")
    assert none.rotation_rad is None and none.translation_m is None and torch.equal(none.jaw_rad, own.jaw_rad)
    same = motion_of_track(own, "relative", own)  # onto itself: nothing changes
    assert np.allclose(matrices(same.rotation_rad), matrices(own.rotation_rad), atol=1e-5)
    assert torch.allclose(same.translation_m, own.translation_m, atol=1e-6)
    moved = motion_of_track(own, "relative", other)
    assert torch.allclose(moved.translation_m.mean(0), other.translation_m.mean(0), atol=1e-6)
    a, b = matrices(own.rotation_rad), matrices(moved.rotation_rad)  # the same turns in head axes
    assert np.allclose(a[0].T @ a[5], b[0].T @ b[5], atol=1e-5)


def test_a_relative_pose_needs_the_avatar_and_its_head():
    with pytest.raises(InvalidInputError, match="needs the avatar"):
        motion_of_track(track(), "relative")
    with pytest.raises(InvalidInputError, match="head 'default' but the avatar has head 'flame'"):
        motion_of_track(track(), "relative", track(head="flame"))
    with pytest.raises(InvalidInputError, match="one of relative"):
        motion_of_track(track(), "sideways")
