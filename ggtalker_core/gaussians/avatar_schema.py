"""Between an Avatar and the tensors and the JSON of its file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..errors import IncompatibleFileError
from ..types import Avatar, AvatarInfo, BodyLoop, ConsentRecord, HairSway, SpeakingStyle, StageRecord, Track

MAX_UV = 1024
MAX_LOOP_FRAMES = 15000
_TRACK = (
    "shape", "expression", "jaw_rad", "neck_rad", "eyes_rad", "rotation_rad", "translation_m", "intrinsics_px",
    "valid", "error_px", "landmarks_px",
)  # fmt: skip
_SWAY = ("basis_m", "rotation_rad", "translation_m", "scale")
_TRACK_OPTIONAL = ("light", "offset_m")


def tensors_of(avatar: Avatar) -> dict[str, Tensor]:
    """Everything of the avatar that is numbers, by the name it has in the file."""
    body = avatar.body
    out: dict[str, Tensor] = {
        "gaussians.map": avatar.gaussian_map,
        "head.shape": avatar.shape,
        "head.offset_m": avatar.offset_m,
        "style.rest_expression": avatar.style.rest_expression,
        "style.rest_jaw_rad": avatar.style.rest_jaw_rad,
        "camera.intrinsics_px": avatar.intrinsics_px,
        "thumbnail": torch.from_numpy(avatar.thumbnail.copy()),
    }
    if avatar.style.token is not None:
        out["style.token"] = avatar.style.token
    out["body.frames"], out["body.frame_ends"] = _pack(body.frames_jpeg)
    out["body.mattes"], out["body.matte_ends"] = _pack(body.mattes_png)
    if body.plate_jpeg is not None:
        out["body.plate"] = _pack([body.plate_jpeg])[0]
    if body.log_gain is not None:
        out["body.log_gain"] = body.log_gain
    for name in _TRACK:
        out[f"body.track.{name}"] = getattr(body.track, name)
    for name in _TRACK_OPTIONAL:
        value: Tensor | None = getattr(body.track, name)
        if value is not None:
            out[f"body.track.{name}"] = value
    for name, value in (avatar.color_mlp or {}).items():
        out[f"color.{name}"] = value
    for name, value in (avatar.inpainter or {}).items():
        out[f"inpainter.{name}"] = value
    if avatar.hair_sway is not None:
        for name in _SWAY:
            out[f"hair_sway.{name}"] = getattr(avatar.hair_sway, name)
    # Shared storage cannot be written twice: the track's camera and shape may be the avatar's own tensors.
    return {name: value.clone() for name, value in out.items()}


def metadata_of(avatar: Avatar) -> dict[str, Any]:
    """Everything of the avatar that is words."""
    track = avatar.body.track
    return {
        "info": dataclasses.asdict(avatar.info) | {"metrics": dict(avatar.info.metrics)},
        "head_model": avatar.head_model,
        "size_px": list(avatar.size_px),
        "style": {"mouth_gain": avatar.style.mouth_gain, "jaw_gain": avatar.style.jaw_gain},
        "body": {
            "fps": str(avatar.body.fps), "track_fps": str(track.fps), "track_head_model": track.head_model,
            "track_size_px": list(track.size_px), "track_clip_sha256": track.clip_sha256, "track_report": track.report,
        },
    }  # fmt: skip


def avatar_from(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Avatar:
    """Rebuild and check the avatar. Raises IncompatibleFileError, KeyError, TypeError or ValueError."""
    gaussian_map = _floats(tensors, "gaussians.map")
    side = int(gaussian_map.shape[-1])
    if side > MAX_UV:
        raise IncompatibleFileError(f"its Gaussian map has {side} texels a side, more than {MAX_UV}")
    mlp, inpainter = (
        {name.removeprefix(start): _floats(tensors, name) for name in tensors if name.startswith(start)}
        for start in ("color.", "inpainter.")
    )
    thumbnail = _tensor(tensors, "thumbnail")
    if thumbnail.dtype != torch.uint8 or thumbnail.ndim != 3 or thumbnail.shape[2] != 3:
        raise IncompatibleFileError("its thumbnail is not an 8-bit colour image")
    width, height = (int(v) for v in meta["size_px"])
    return Avatar(
        head_model=str(meta["head_model"]),
        shape=_floats(tensors, "head.shape"),
        offset_m=_floats(tensors, "head.offset_m"),
        gaussian_map=gaussian_map,
        color_mlp=mlp or None,
        style=SpeakingStyle(
            rest_expression=_floats(tensors, "style.rest_expression"),
            rest_jaw_rad=_floats(tensors, "style.rest_jaw_rad"),
            mouth_gain=float(meta["style"]["mouth_gain"]),
            jaw_gain=float(meta["style"]["jaw_gain"]),
            token=_floats(tensors, "style.token") if "style.token" in tensors else None,
        ),
        body=_body(tensors, meta["body"]),
        intrinsics_px=_floats(tensors, "camera.intrinsics_px"),
        size_px=(width, height),
        thumbnail=thumbnail.numpy(),
        info=_info(meta["info"]),
        inpainter=inpainter or None,
        hair_sway=_sway(tensors, _floats(tensors, "head.offset_m")),
    )


def _sway(tensors: Mapping[str, Tensor], offset_m: Tensor) -> HairSway | None:
    """The hair's own motion; avatars of older packs have none."""
    if not any(name.startswith("hair_sway.") for name in tensors):
        return None
    sway = HairSway(*(_floats(tensors, f"hair_sway.{name}") for name in _SWAY))
    if sway.basis_m.shape[1] != offset_m.shape[0] or not bool((sway.scale > 0).all()):
        raise IncompatibleFileError("the motion of its hair does not fit its head")
    return sway


def _info(meta: Mapping[str, Any]) -> AvatarInfo:
    consent = meta.get("consent")
    known = {item.name for item in dataclasses.fields(AvatarInfo)}
    values = {key: value for key, value in meta.items() if key in known}
    values["stages_done"] = tuple(str(stage) for stage in meta["stages_done"])
    values["consent"] = None if consent is None else ConsentRecord(**consent)
    values["metrics"] = {str(key): float(value) for key, value in meta.get("metrics", {}).items()}
    values["history"] = tuple(_record(entry) for entry in meta.get("history", ()))
    values["notes"] = tuple(str(note) for note in meta.get("notes", ()))
    return AvatarInfo(**values)


def _record(entry: Mapping[str, Any]) -> StageRecord:
    held_out = entry["held_out_psnr_db"]
    return StageRecord(
        name=str(entry["name"]), steps=int(entry["steps"]), of=int(entry["of"]), seconds=float(entry["seconds"]),
        held_out_psnr_db=None if held_out is None else float(held_out),
        errors=tuple(float(value) for value in entry["errors"]),
    )  # fmt: skip


def _body(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> BodyLoop:
    values: dict[str, Any] = {name: _tensor(tensors, f"body.track.{name}") for name in _TRACK}
    values |= {name: tensors.get(f"body.track.{name}") for name in _TRACK_OPTIONAL}
    for name, value in values.items():
        if isinstance(value, Tensor) and value.is_floating_point() and not bool(value.isfinite().all()):
            raise IncompatibleFileError(f"its tensor body.track.{name} holds values that are not finite")
    width, height = (int(v) for v in meta["track_size_px"])
    track = Track(
        head_model=str(meta["track_head_model"]), size_px=(width, height), fps=Fraction(meta["track_fps"]),
        clip_sha256=str(meta["track_clip_sha256"]), report=str(meta["track_report"]), **values,
    )  # fmt: skip
    plate = tensors.get("body.plate")
    return BodyLoop(
        frames_jpeg=_unpack(_tensor(tensors, "body.frames"), _tensor(tensors, "body.frame_ends")),
        mattes_png=_unpack(_tensor(tensors, "body.mattes"), _tensor(tensors, "body.matte_ends")),
        plate_jpeg=None if plate is None else plate.numpy().tobytes(),
        track=track,
        fps=Fraction(meta["fps"]),
        log_gain=_floats(tensors, "body.log_gain") if "body.log_gain" in tensors else None,
    )


def _tensor(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise IncompatibleFileError(f"it lacks the tensor {name}")
    return tensors[name]


def _floats(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    value = _tensor(tensors, name)
    if value.dtype != torch.float32 or not bool(value.isfinite().all()):
        raise IncompatibleFileError(f"its tensor {name} is not made of finite float32 numbers")
    return value


def _pack(blobs: Sequence[bytes]) -> tuple[Tensor, Tensor]:
    """Byte strings as one uint8 tensor and the position after each."""
    joined = b"".join(blobs)
    data = torch.frombuffer(bytearray(joined), dtype=torch.uint8) if joined else torch.zeros(0, dtype=torch.uint8)
    ends = torch.tensor([len(blob) for blob in blobs], dtype=torch.int64).cumsum(0)
    return data, ends


def _unpack(data: Tensor, ends: Tensor) -> tuple[bytes, ...]:
    """The byte strings back, with every position checked first."""
    positions = [0, *(int(v) for v in ends.tolist())]
    ordered = all(a <= b for a, b in zip(positions, positions[1:]))
    if len(positions) > MAX_LOOP_FRAMES or not ordered or positions[-1] != int(data.numel()):
        raise IncompatibleFileError("the positions of its body frames do not fit their bytes")
    raw = data.numpy().tobytes()
    return tuple(raw[a:b] for a, b in zip(positions, positions[1:]))
