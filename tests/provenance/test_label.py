"""The visible label: its size, its place, when it shows, and the contrast measured in the drawn frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.provenance.config import PRESETS, LabelConfig
from ggtalker_core.provenance.label import VisibleLabel, contrast_ratio


def background(kind: str, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    shape = size[1], size[0], 3
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    if kind == "ramp":
        return np.broadcast_to(np.linspace(0, 255, size[0]).astype(np.uint8)[None, :, None], shape).copy()
    return np.full(shape, {"white": 255, "grey": 128, "black": 0}[kind], np.uint8)


def test_contrast_known_answers():
    black, white = np.zeros(3, np.float32), np.full(3, 255, np.float32)
    assert float(contrast_ratio(black, white)) == pytest.approx(21.0, abs=1e-4)
    assert float(contrast_ratio(white, white)) == pytest.approx(1.0)
    grey = np.full(3, 0x76, np.float32)  # the well-known greyest grey that passes on white
    assert float(contrast_ratio(white, grey)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("kind", ["white", "grey", "black", "ramp", "noise"])
@pytest.mark.parametrize("opacity", [0.5, 0.8])
def test_contrast_measured_in_the_frame(kind: str, opacity: float):
    label = VisibleLabel(LabelConfig(opacity=opacity, size_pct=8.0))
    drawn = label.draw(background(kind)).astype(np.float32)
    letters, box = label._masks((640, 480))
    rows, columns = label._place((640, 480), box.shape)
    area = drawn[rows, columns]
    ink, ground = area[letters > 0.99], area[(letters < 0.01) & (box > 0.99)]
    if kind == "noise":  # single pixels vary; the eye sees the mean, and the worst twentieth still has to do
        assert float(np.quantile(contrast_ratio(ink[: len(ground)], ground[: len(ink)]), 0.05)) >= 4.5
    assert float(contrast_ratio(ink.mean(0), ground.mean(0))) >= 4.5
    if kind != "noise":
        count = min(len(ink), len(ground))
        assert float(contrast_ratio(ink[:count], ground[:count]).min()) >= 4.5


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(512, 512), (1920, 1080), (1080, 1920), (320, 240)])
def test_letters_have_the_size_that_rules_ask_for(preset: str, size: tuple[int, int]):
    before = background("grey", size)
    label = VisibleLabel(LabelConfig(preset=preset))
    drawn = label.draw(before)
    rows = np.nonzero((drawn.max(axis=2) > 200).any(axis=1))[0]
    assert rows[-1] - rows[0] + 1 >= 0.05 * min(size) - 2  # less the soft edge of the ink
    assert label.letter_height_px(size) >= 0.05 * min(size)


@pytest.mark.parametrize("corner", ["top_right", "top_left", "bottom_right", "bottom_left"])
def test_the_label_keeps_its_corner_and_margin(corner: str):
    before = background("grey")
    changed = (VisibleLabel(LabelConfig(corner=corner)).draw(before) != before).any(axis=2)
    y, x = (np.nonzero(changed.any(axis=axis))[0] for axis in (1, 0))
    margin = round(0.02 * 480)
    assert (y[0] if "top" in corner else 479 - y[-1]) == margin
    assert (x[0] if "left" in corner else 639 - x[-1]) == margin
    assert changed.mean() < 0.08


def test_the_input_is_not_written_into():
    frame = background("grey")
    VisibleLabel(LabelConfig()).draw(frame)
    assert (frame == 128).all()


def test_when_it_shows():
    fps = Fraction(25)
    start = VisibleLabel(LabelConfig(duration="start", seconds=2.0), fps)
    assert [start.shows(i) for i in (0, 49, 50, 5000)] == [True, True, False, False]
    periodic = VisibleLabel(LabelConfig(duration="periodic", seconds=2.0, every_s=10.0), fps)
    assert [periodic.shows(i) for i in (0, 49, 50, 249, 250, 299, 300)] == [True, True, False, False, True, True, False]
    assert VisibleLabel(LabelConfig(), fps).shows(10**6)
    none = VisibleLabel(LabelConfig(preset="none"), fps)
    frame = background("grey")
    assert not none.shows(0) and none.draw(frame) is frame


def test_free_text_needs_no_system_font():
    drawn = VisibleLabel(LabelConfig(preset="text", text="Synthetic, by Jane (2026)")).draw(background("black"))
    assert drawn.max() > 190


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"preset": "hologram"}, "Unknown label preset 'hologram'"),
        ({"size_pct": 4.9}, r"size_pct must lie in \[5, 30\]"),
        ({"size_pct": float("nan")}, "size_pct"),
        ({"opacity": 0.4}, "opacity"),
        ({"duration": "start", "seconds": 1.0}, "seconds"),
        ({"corner": "middle"}, "corner"),
        ({"preset": "text"}, "needs a text"),
    ],
)
def test_settings_against_the_rules_are_refused(changes: dict[str, object], says: str):
    with pytest.raises(InvalidInputError, match=says):
        LabelConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["人工智能", "x" * 49, "a\x00b", "\u202eevil"])
def test_text_that_cannot_be_drawn_is_refused(text: str):
    with pytest.raises(InvalidInputError, match="plain Latin characters"):
        VisibleLabel(LabelConfig(preset="text", text=text)).draw(background("grey"))


@pytest.mark.parametrize("size", [(64, 64), (1, 1)])
def test_a_frame_without_room_is_refused_or_labelled_small(size: tuple[int, int]):
    label = VisibleLabel(LabelConfig())
    if size == (64, 64):
        assert (label.draw(background("grey", size)) != 128).any()
    else:
        with pytest.raises(InvalidInputError, match="does not fit"):
            label.draw(background("grey", size))
