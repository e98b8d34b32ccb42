"""Stages: what each did is written down, some can be left out, repeated, resumed; memory that runs out is no end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ggtalker_core.adapt import AdaptConfig, adapt_avatar, memory
from ggtalker_core.adapt.config import InpainterStage, Stage
from ggtalker_core.adapt.curves import history_picture
from ggtalker_core.adapt.heldout import KeptOut
from ggtalker_core.adapt.history import Diary, curve, stage_lines
from ggtalker_core.adapt.optimise import Fitter
from ggtalker_core.adapt.plan import chosen, left_over, within
from ggtalker_core.errors import InvalidInputError, LimitExceededError
from ggtalker_core.gaussians.avatar_file import load_avatar, save_avatar
from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_clip, synthetic_track
from ggtalker_core.types import Avatar, AvatarInfo, StageRecord

COUNT = 50


@pytest.fixture(scope="module")
def fit():
    """Adapts to fifty frames of the painted person; keyword arguments go through."""
    truth, track = synthetic_avatar(32, 2, (64, 64)), synthetic_track(COUNT, (64, 64), sway=1.4)
    clip, mattes = synthetic_clip(truth, track)
    known = track.landmarks_px.numpy()

    def matte(_: np.ndarray, points: np.ndarray) -> np.ndarray:
        return mattes[int(np.abs(known - points).sum((1, 2)).argmin())]

    return lambda config, **rest: adapt_avatar(clip, track, config, matte_of=matte, **rest)


def recipe(**changes: object) -> AdaptConfig:
    stages = (Stage("map", 40), Stage("map+parameters", 30, fit_parameters=True))
    return dataclasses.replace(AdaptConfig.tiny(), stages=stages, inpainter=InpainterStage(0), **changes)


@pytest.fixture(scope="module")
def fitted(fit) -> Avatar:
    return fit(recipe())


def test_every_stage_is_written_down_and_travels(fitted, tmp_path):
    history = fitted.info.history
    assert [(r.name, r.steps, r.of) for r in history] == [
        ("map", 40, 40), ("map+parameters", 30, 30), ("style", 0, 0)
    ]  # fmt: skip
    first, second, style = history
    assert first.held_out_psnr_db > 18 and second.held_out_psnr_db > first.held_out_psnr_db
    assert len(first.errors) == 40 and np.mean(first.errors[-10:]) < 0.75 * np.mean(first.errors[:5])
    assert style.held_out_psnr_db is None and fitted.style.token is not None
    assert fitted.info.metrics["frames_kept_out"] == 2 and fitted.info.metrics["frames_used"] == COUNT - 2
    back = load_avatar(save_avatar(fitted, tmp_path / "a.avatar.safetensors"))
    assert back.info.history == history and back.info.notes == ()
    lines = stage_lines(history)
    assert "40 steps" in lines[0] and "dB" in lines[0] and "(+" in lines[1] and "read from the clip" in lines[2]


def test_the_curves_are_drawn_where_the_errors_are(fitted):
    picture = history_picture(fitted.info.history, (600, 300))
    assert picture.shape == (300, 600, 3)
    blue = (np.abs(picture.astype(int) - (90, 190, 255)).sum(-1) < 30)[60:260, 70:530]
    columns = np.flatnonzero(blue.any(0))
    rows = np.array([np.flatnonzero(blue[:, c]).mean() for c in columns])
    assert len(columns) > 400 and rows[:20].mean() < rows[-20:].mean(), "the error falls from left to right"
    orange = (np.abs(picture.astype(int) - (240, 170, 70)).sum(-1) < 30)[40:270, 70:545]
    assert orange.sum() > 40
    assert history_picture((), (300, 200)).shape == (200, 300, 3)


def test_what_was_kept_out_is_not_fitted():
    usable = list(range(10, 210))
    few = KeptOut.of(usable, 4)
    assert len(few.scored) == 4 and set(few.scored) == few.unseen
    assert len(KeptOut.of(list(range(2000)), 4).unseen) == 20  # two neighbours on either side
    assert KeptOut.of(usable[:20], 4) == KeptOut((), frozenset())


def test_a_stopped_stage_is_told_and_taken_up_again(fit):
    class Stop(Exception):
        pass

    def progress(done: int, total: int, message: str = "", preview: object = None) -> None:
        if message.startswith("map+parameters: step 12 "):
            raise Stop

    kept: list[Avatar] = []
    with pytest.raises(Stop):
        fit(recipe(), progress=progress, on_checkpoint=kept.append)
    assert [(r.name, r.steps, r.of) for r in kept[0].info.history] == [("map", 40, 40), ("map+parameters", 12, 30)]
    resumed = fit(recipe(), resume=kept[0])
    assert [(r.name, r.steps) for r in resumed.info.history] == [
        ("map", 40), ("map+parameters", 12), ("map+parameters", 18), ("style", 0)
    ]  # fmt: skip
    assert "finished" in resumed.info.stages_done
    # What was found for the loop's frames is where the second run starts.
    fresh = synthetic_track(COUNT, (64, 64), sway=1.4).translation_m
    assert not torch.isclose(resumed.body.track.translation_m, fresh[: resumed.body.count]).all()


def test_without_a_fitted_head_there_is_nothing_to_add_to(fit, fitted):
    with pytest.raises(InvalidInputError, match="avatar at resume"):
        fit(chosen(recipe(), "style"))
    again = fit(chosen(recipe(), "style"), resume=fitted)
    assert torch.equal(again.gaussian_map, fitted.gaussian_map) and again.style.token is not None
    assert [r.name for r in again.info.history] == ["map", "map+parameters", "style", "style"]


def test_running_out_of_memory_goes_on_in_half_the_size(fit, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    step = Fitter._step

    def scarce(self: Fitter, stage: Stage, optimizer: object, decay: float, shrink: int = 1):
        sizes.append(shrink)
        if len(sizes) > 10 and shrink == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, stage, optimizer, decay, shrink)

    monkeypatch.setattr(Fitter, "_step", scarce)
    avatar = fit(recipe(held_out=0))
    assert sizes == [1] * 11 + [2] * 60
    assert "finished" in avatar.info.stages_done and avatar.info.metrics["fit_psnr_db"] > 15
    assert len(avatar.info.notes) == 1 and "1/2 of its size" in avatar.info.notes[0]


def test_memory_that_never_suffices_is_told_and_the_work_kept(fit, monkeypatch: pytest.MonkeyPatch):
    def none(*_: object) -> tuple[float, float]:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(Fitter, "_step", none)
    kept: list[Avatar] = []
    with pytest.raises(LimitExceededError, match="smaller preset"):
        fit(recipe(held_out=0), on_checkpoint=kept.append)
    assert len(kept) == 1


def test_other_errors_are_not_taken_for_memory():
    def broken(_: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        memory.Frugal("x").do(broken)
    assert memory.out_of_memory(MemoryError()) and not memory.out_of_memory(ValueError("out of memory"))


def test_too_little_memory_is_refused_before_anything_starts(fit):
    seen: list[str] = []
    with pytest.raises(LimitExceededError, match=r"'tiny' needs about .* 50 MB of memory are free.*smaller preset"):
        fit(recipe(), free_mb=50.0, progress=lambda done, total, message="", preview=None: seen.append(message))
    assert seen == []


def test_larger_presets_need_more_memory():
    track = synthetic_track(4, (512, 512))
    needs = [memory.memory_need(AdaptConfig.named(p), track, 500) for p in ("draft", "standard", "full")]
    assert needs[0].work < needs[1].work < needs[2].work and "GB of memory" in needs[2].text()
    card = memory.memory_need(AdaptConfig.full(), track, 500, "cuda")
    assert "graphics card" in card.text() and not card.shared
    assert memory.free_memory_mb() is None or memory.free_memory_mb() > 10


def test_stages_can_be_left_out_and_repeated():
    draft, full = AdaptConfig.draft(), AdaptConfig.full()
    assert chosen(full, "preset") == full == chosen(full, " ")
    few = chosen(full, "map, parameters")
    assert [s.kind for s in few.stages] == ["map", "parameters", "parameters"]
    assert few.inpainter.steps == 0 and not few.style.read
    twice = chosen(draft, "parameters,Parameters, style")
    assert len(twice.stages) == 4 and twice.style.read and twice.style.steps > 0
    added = chosen(draft, "colors, inpainter")
    assert added.stages[0].fit_colors and added.inpainter.steps > 0
    assert chosen(draft, "style").steps == 0
    with pytest.raises(InvalidInputError, match="no stage 'wrinkles'"):
        chosen(draft, "map, wrinkles")


def test_a_budget_in_minutes_is_shared_out():
    full = within(AdaptConfig.full(), 20.0)
    assert sum(s.minutes for s in full.stages) + full.inpainter.minutes == pytest.approx(20.0)
    assert full.stages[3].minutes > 3 * full.stages[0].minutes and full.work == pytest.approx(20.0)
    assert within(AdaptConfig.draft(), 0.0) == AdaptConfig.draft()


def test_what_is_left_of_a_run_that_was_stopped_twice():
    config = recipe()

    def info(*records: StageRecord, done: tuple[str, ...] = ()) -> AvatarInfo:
        return AvatarInfo("x", "", "", "", "tiny", done, "0" * 16, None, history=records)

    def record(name: str, steps: int, of: int) -> StageRecord:
        return StageRecord(name, steps, of, 1.0)

    assert [s.steps for s in left_over(config, info(record("map", 8, 40))).stages] == [32, 30]
    twice = info(record("map", 8, 40), record("map", 10, 32))
    assert [s.steps for s in left_over(config, twice).stages] == [22, 30]
    last = info(record("map", 40, 40), record("map+parameters", 30, 30))
    assert left_over(config, last).steps == 0
    assert left_over(config, info(record("map", 40, 40), done=("map", "finished"))) == config
    assert left_over(config, info()) == config
    picked = chosen(config, "map")
    assert left_over(picked, last) == picked, "what a user names is done"


def test_curves_are_means_of_even_parts():
    assert curve([4.0, 2.0, 1.0, 3.0], points=2) == (3.0, 2.0)
    diary = Diary()
    diary.end(20.0)
    assert diary.records() == ()
    diary.step("map", 5, 0.5)
    (one,) = diary.records()
    assert (one.steps, one.of, one.errors) == (1, 5, (0.5,))
