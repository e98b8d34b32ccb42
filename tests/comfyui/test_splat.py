"""An avatar through Avatar to Splat and ComfyUI's own nodes in a running server: a .ply and a .spz on disk."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ggtalker_core.gaussians.avatar_file import save_avatar
from ggtalker_core.gaussians.synthetic import synthetic_avatar

pytestmark = pytest.mark.comfyui


def test_splat_files_stand_as_viewers_expect(run: Callable[..., Any], server: Any) -> None:
    avatars = server.base / "models" / "ggtalker_avatars"
    avatars.mkdir(parents=True, exist_ok=True)
    save_avatar(synthetic_avatar(32, 4, (64, 64)), avatars / "for_splat.avatar.safetensors")
    view = {"viewport_state": "", "width": 64, "height": 64}
    prompt: dict[str, Any] = {
        "1": {"class_type": "GGTalkerLoadAvatar", "inputs": {"avatar_file": "for_splat.avatar.safetensors"}},
        "2": {"class_type": "GGTalkerAvatarToSplat", "inputs": {"avatar": ["1", 0], "frame": 1}},
    }
    for kind, number in (("ply", 3), ("spz", 5)):
        to_file = {"splat": ["2", 0], "format": kind}
        save = {"model_3d": [str(number), 0], "filename_prefix": "3d/head", **view}
        prompt[str(number)] = {"class_type": "SplatToFile3D", "inputs": to_file}
        prompt[str(number + 1)] = {"class_type": "SaveGaussianSplat", "inputs": save}
    run(prompt)
    (ply,), (spz,) = (list((server.base / "output" / "3d").glob(f"head_*.{kind}")) for kind in ("ply", "spz"))
    header, body = ply.read_bytes().split(b"end_header\n")
    names = [line.split()[-1] for line in header.decode().splitlines() if line.startswith("property")]
    values = np.frombuffer(body, "<f4").reshape(-1, len(names))
    places = values[:, [names.index(axis) for axis in "xyz"]]
    # 3DGS axes, y down and z forward: the dark scalp has the least y, the light face the least z
    light = values[:, names.index("f_dc_0")] > 0.5
    assert places[light, 1].mean() > places[~light, 1].mean() and places[light, 2].mean() < places[~light, 2].mean()
    assert 1.5 < np.ptp(places[:, 1]) < 4.5, "ten units to the metre"
    magic, version, count = struct.unpack_from("<III", gzip.decompress(spz.read_bytes()))
    assert (magic, version, count) == (0x5053474E, 2, len(values))
