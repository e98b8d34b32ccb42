"""ComfyUI's values to the core's and back."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture
def convert(node_module: Any) -> Any:
    return node_module("convert")


@pytest.mark.parametrize(
    ("value", "exact"),
    [(25.0, Fraction(25)), (23.976, Fraction(24000, 1001)), (29.97, Fraction(30000, 1001)), (12.5, Fraction(25, 2))],
)
def test_frame_rates_of_a_widget_become_exact(convert: Any, value: float, exact: Fraction) -> None:
    assert convert.to_fps(value) == exact


def test_audio_is_taken_as_it_is_and_usable_for_training(convert: Any) -> None:
    with torch.inference_mode():
        given = torch.randn(1, 2, 1000)
    with torch.inference_mode(False):
        track = convert.to_audio_track({"waveform": given, "sample_rate": 44100})
    assert track.sample_rate == 44100 and torch.equal(track.waveform, given[0])
    assert not track.waveform.is_inference()
    assert convert.to_audio(track)["waveform"].shape == (1, 2, 1000)


def test_a_batch_of_audio_is_refused(convert: Any, core: Any) -> None:
    with pytest.raises(core("errors").InvalidInputError, match="one clip"):
        convert.to_audio_track({"waveform": torch.zeros(2, 1, 10), "sample_rate": 16000})


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (torch.zeros(0), "empty"),
        (torch.tensor([0.0, float("nan")]), "finite"),
        (torch.tensor([float("inf")]), "finite"),
    ],
)
def test_sound_that_is_none_is_refused(convert: Any, core: Any, samples: torch.Tensor, said: str) -> None:
    with pytest.raises(core("errors").InvalidInputError, match=said):
        convert.to_audio_track({"waveform": samples[None, None], "sample_rate": 16000})


def test_a_voice_of_hours_is_refused_before_it_is_copied(convert: Any, core: Any) -> None:
    hours = torch.zeros(1).expand(1, 1, 3 * 3600 * 100)
    with pytest.raises(core("errors").LimitExceededError, match="10800 s long; the limit is 1800 s"):
        convert.to_voice({"waveform": hours, "sample_rate": 100})


def test_pictures_that_are_no_numbers_become_black(convert: Any) -> None:
    assert not convert.to_bytes(torch.full((2, 2, 3), float("nan"))).any()


def test_images_and_mask_are_filled_as_frames_come(convert: Any, core: Any) -> None:
    rgb = np.array([[[100, 50, 0], [0, 0, 0]]], np.uint8)
    frame = core("types").RgbaFrame(rgb, np.array([[128, 0]], np.uint8))
    asked: list[int] = []
    images, mask = convert.to_images_and_mask(
        iter([frame, core("types").RgbaFrame(rgb)]), 2, (2, 1), lambda done, *_: asked.append(done)
    )
    assert asked == [1, 2] and mask[1].eq(1).all()
    assert torch.allclose(images[0, 0, 0], torch.tensor([100 / 128, 50 / 128, 0.0])) and not images[0, 0, 1].any()
    assert torch.allclose(images[1], torch.from_numpy(rgb).float() / 255)


def test_a_silent_clip_gives_silence_of_its_length(convert: Any) -> None:
    audio = convert.to_audio(None, silence_s=2.5)
    assert audio["waveform"].shape == (1, 1, 40000) and not audio["waveform"].any()


def test_images_round_trip(convert: Any) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    image = convert.to_image(iter(frames))
    assert image.shape == (3, 4, 5, 3) and image.dtype == torch.float32
    assert np.array_equal(convert.to_bytes(image), frames)


def test_image_frames_are_premultiplied_by_the_mask(convert: Any) -> None:
    images, mask = torch.ones(2, 2, 2, 3), torch.tensor([[[0.0, 1.0], [0.5, 1.0]]])
    frame = next(iter(convert.ImageFrames(images, mask).frames(1, 2)))  # one mask serves all frames
    assert frame.alpha.tolist() == [[0, 255], [128, 255]]
    assert frame.rgb[..., 0].tolist() == [[0, 255], [128, 255]]


def test_mask_hides_everybody_else_from_the_face_search(convert: Any) -> None:
    class Source:
        count, size_px = 3, (4, 4)

        def frames(self, start: int = 0, stop: int | None = None) -> Any:
            return (np.full((4, 4, 3), 10 * i, np.uint8) for i in range(start, 3 if stop is None else stop))

    mask = torch.zeros(1, 2, 2)
    mask[:, :, 0] = 1.0  # the left half, at another size
    frame = next(iter(convert.MaskedFrames(Source(), mask).frames(2, 3)))
    assert (frame[:, :2] == 20).all() and (frame[:, 2:] == 127).all()


def face(x: float, size: float) -> dict[str, Any]:
    return {"bbox_xyxy": np.array([x, 0, x + size, size]), "landmarks_xy": np.full((478, 2), x, np.float32)}


def test_landmarks_of_comfyui_are_scaled_and_the_largest_face_wins(convert: Any) -> None:
    value = {"frames": [[face(10, 5), face(30, 50)], []], "image_size": (100, 200)}
    points = convert.to_landmarks(value, 2, (400, 200))
    assert points.shape == (2, 478, 2)
    assert torch.allclose(points[0], torch.tensor(60.0)) and points[1].isnan().all()


def test_landmarks_of_other_frames_are_refused(convert: Any, core: Any) -> None:
    with pytest.raises(core("errors").InvalidInputError, match="2 frames but the clip has 3"):
        convert.to_landmarks({"frames": [[], []], "image_size": (1, 1)}, 3, (1, 1))
    few = {"frames": [[{**face(0, 1), "landmarks_xy": np.zeros((468, 2))}]], "image_size": (1, 1)}
    with pytest.raises(core("errors").InvalidInputError, match="478"):
        convert.to_landmarks(few, 1, (1, 1))


def test_frames_are_spread_from_first_to_last(convert: Any) -> None:
    assert convert.spread(100, 5) == [0, 25, 50, 74, 99] or convert.spread(100, 5)[-1] == 99
    assert convert.spread(3, 16) == [0, 1, 2] and convert.spread(1, 16) == [0]
