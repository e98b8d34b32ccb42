"""The avatar file: what goes in comes out; what is damaged is refused in words."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ggtalker_core.errors import IncompatibleFileError, LimitExceededError, UnreadableFileError
from ggtalker_core.gaussians import avatar_file
from ggtalker_core.gaussians.avatar_file import load_avatar, save_avatar
from ggtalker_core.gaussians.color_mlp import N_CONDITION, new_color_mlp
from ggtalker_core.gaussians.synthetic import synthetic_avatar
from ggtalker_core.head import uv_layout
from ggtalker_core.types import Avatar, HairSway, StageRecord


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return synthetic_avatar(16, 3, (48, 48))


@pytest.fixture
def file(avatar: Avatar, tmp_path: Path) -> Path:
    return save_avatar(avatar, tmp_path / "somebody.avatar.safetensors")


def _parts(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(str(path), framework="pt") as f:
        return dict(f.metadata()), {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118


def _rewrite(path: Path, metadata: dict[str, str], tensors: dict[str, torch.Tensor], *, sign: bool = True) -> None:
    if sign:
        metadata["content_sha256"] = avatar_file.content_sha256(tensors)
    save_file(tensors, str(path), metadata=metadata)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if dataclasses.is_dataclass(a) and not isinstance(a, type):
        return all(_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if hasattr(a, "shape"):
        return bool((a == b).all())  # type: ignore[attr-defined]
    return a == b


def test_round_trip_is_exact(avatar: Avatar, tmp_path: Path):
    mlp = new_color_mlp(uv_layout(16).count, torch.randn(4, N_CONDITION))
    info = dataclasses.replace(avatar.info, metrics={"fit_psnr_db": 31.5}, stages_done=("map", "finished"))
    rich = dataclasses.replace(avatar, color_mlp=mlp, info=info)
    back = load_avatar(save_avatar(rich, tmp_path / "a.avatar.safetensors"))
    for item in dataclasses.fields(rich):
        assert _equal(getattr(rich, item.name), getattr(back, item.name)), item.name


def test_a_style_token_travels(avatar: Avatar, tmp_path: Path):
    style = dataclasses.replace(avatar.style, token=torch.linspace(-1, 1, 64))
    back = load_avatar(save_avatar(dataclasses.replace(avatar, style=style), tmp_path / "t.avatar.safetensors"))
    assert back.style.token is not None and torch.equal(back.style.token, style.token)


def test_the_hairs_own_motion_travels_and_must_fit_the_head(avatar: Avatar, tmp_path: Path):
    vertices = int(avatar.offset_m.shape[0])
    sway = HairSway(torch.rand(6, vertices, 3), torch.rand(3), torch.rand(3), torch.rand(6) + 0.1)
    path = save_avatar(dataclasses.replace(avatar, hair_sway=sway), tmp_path / "h.avatar.safetensors")
    back = load_avatar(path)
    assert back.hair_sway is not None and _equal(back.hair_sway, sway)
    assert load_avatar(save_avatar(avatar, tmp_path / "n.avatar.safetensors")).hair_sway is None
    metadata, tensors = _parts(path)
    tensors["hair_sway.basis_m"] = tensors["hair_sway.basis_m"][:, :-1].contiguous()
    _rewrite(path, metadata, tensors)
    with pytest.raises(IncompatibleFileError, match="hair"):
        load_avatar(path)


def test_saving_leaves_no_part_files_and_replaces_whole(file: Path, avatar: Avatar):
    save_avatar(dataclasses.replace(avatar, info=dataclasses.replace(avatar.info, name="second")), file)
    assert load_avatar(file).info.name == "second"
    assert [p.name for p in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("kind", [OSError, SafetensorError])
def test_a_failed_save_keeps_the_old_file(
    file: Path, avatar: Avatar, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
):
    """A full disk is an OSError from the system, or a SafetensorError from the writer."""
    import safetensors.torch

    def fails(*_: object, **__: object) -> None:
        raise kind("disk full")

    monkeypatch.setattr(safetensors.torch, "save_file", fails)
    with pytest.raises(UnreadableFileError, match="disk full"):
        save_avatar(avatar, file)
    monkeypatch.undo()
    assert load_avatar(file).info.name == "synthetic"
    assert len(list(file.parent.iterdir())) == 1


def test_missing_cut_short_and_foreign_files(file: Path, tmp_path: Path):
    with pytest.raises(UnreadableFileError, match="no avatar file"):
        load_avatar(tmp_path / "nobody.avatar.safetensors")
    data = file.read_bytes()
    for n in (0, 4, 100, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:n])
        with pytest.raises(UnreadableFileError):
            load_avatar(file)
    file.write_bytes(os.urandom(4096))
    with pytest.raises(UnreadableFileError):
        load_avatar(file)
    file.write_bytes(b"\x80\x04\x95 a pickle")
    with pytest.raises(UnreadableFileError):
        load_avatar(file)


def test_one_flipped_byte_of_data_is_noticed(file: Path):
    data = bytearray(file.read_bytes())
    data[-100] ^= 0xFF
    file.write_bytes(bytes(data))
    with pytest.raises(UnreadableFileError, match="damaged"):
        load_avatar(file)


def test_other_formats_and_versions(file: Path):
    metadata, tensors = _parts(file)
    _rewrite(file, metadata | {"format": "somebody else's"}, tensors)
    with pytest.raises(IncompatibleFileError, match="not an avatar"):
        load_avatar(file)
    _rewrite(file, metadata | {"format_version": "2.0"}, tensors)
    with pytest.raises(IncompatibleFileError, match="version '2.0'"):
        load_avatar(file)
    _rewrite(file, metadata | {"format_version": "1.7"}, tensors)
    assert load_avatar(file).info.name == "synthetic"


@pytest.mark.parametrize("name", ["gaussians.map", "head.shape", "body.frames", "body.track.rotation_rad", "thumbnail"])
def test_missing_tensors(file: Path, name: str):
    metadata, tensors = _parts(file)
    del tensors[name]
    _rewrite(file, metadata, tensors)
    with pytest.raises(IncompatibleFileError, match=name):
        load_avatar(file)


def test_misshapen_and_infinite_tensors(file: Path):
    metadata, tensors = _parts(file)
    good = tensors["gaussians.map"]
    for bad in (good[:13], good[:, :8], torch.full_like(good, float("nan")), good.double()):
        _rewrite(file, metadata, tensors | {"gaussians.map": bad.contiguous()})
        with pytest.raises(IncompatibleFileError):
            load_avatar(file)
    pose = tensors["body.track.rotation_rad"].clone()
    pose[1, 1] = float("inf")
    _rewrite(file, metadata, tensors | {"body.track.rotation_rad": pose})
    with pytest.raises(IncompatibleFileError, match="finite"):
        load_avatar(file)


def test_wild_positions_of_body_frames_are_refused(file: Path):
    metadata, tensors = _parts(file)
    for ends in ([10**12, 10**12, 10**12], [5, 3, 9], [-5, 4, 9]):
        _rewrite(file, metadata, tensors | {"body.frame_ends": torch.tensor(ends)})
        with pytest.raises(IncompatibleFileError, match="body frames"):
            load_avatar(file)


def test_damaged_metadata(file: Path):
    metadata, tensors = _parts(file)
    _rewrite(file, metadata | {"avatar": "{not json"}, tensors)
    with pytest.raises(UnreadableFileError, match="metadata"):
        load_avatar(file)
    meta = json.loads(metadata["avatar"])
    del meta["info"]["watermark_id"]
    _rewrite(file, metadata | {"avatar": json.dumps(meta)}, tensors)
    with pytest.raises(IncompatibleFileError):
        load_avatar(file)


def test_history_and_exposure_travel_and_must_be_whole(avatar: Avatar, tmp_path: Path):
    record = StageRecord("map", 40, 250, 12.5, 24.25, (0.08, 0.05))
    info = dataclasses.replace(avatar.info, history=(record,), notes=("The memory did not suffice.",))
    body = dataclasses.replace(avatar.body, log_gain=torch.linspace(-0.2, 0.2, 9).view(3, 3))
    path = save_avatar(dataclasses.replace(avatar, info=info, body=body), tmp_path / "told.avatar.safetensors")
    back = load_avatar(path)
    assert back.info == info and back.body.log_gain is not None and torch.equal(back.body.log_gain, body.log_gain)
    metadata, tensors = _parts(path)
    _rewrite(path, metadata, tensors | {"body.log_gain": torch.zeros(2, 3)})
    with pytest.raises(IncompatibleFileError, match="log_gain"):
        load_avatar(path)
    meta = json.loads(metadata["avatar"])
    meta["info"]["history"][0]["steps"] = 300  # more than were wanted
    _rewrite(path, metadata | {"avatar": json.dumps(meta)}, tensors)
    with pytest.raises(IncompatibleFileError, match="300 steps of 250"):
        load_avatar(path)
    del meta["info"]["history"], meta["info"]["notes"]  # an avatar of an older pack
    _rewrite(path, metadata | {"avatar": json.dumps(meta)}, tensors)
    assert load_avatar(path).info.history == ()


def test_size_cap(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(avatar_file, "MAX_BYTES", 1000)
    with pytest.raises(LimitExceededError, match="1000"):
        load_avatar(file)
