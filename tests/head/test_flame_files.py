"""FLAME files: official-looking pickles are read, anything that could run is refused, the head comes back unchanged."""

from __future__ import annotations

import importlib
import os
import pickle
import random
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ggtalker_core.errors import IncompatibleFileError, InvalidInputError, LimitExceededError, UnreadableFileError
from ggtalker_core.head import flame_pickle, load_head, uv_layout
from ggtalker_core.head.flame_files import convert_flame, export_flame
from ggtalker_core.head.flame_pickle import read_pickle
from ggtalker_core.head.measure import lip_gap_m


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> dict[str, np.ndarray]:
    """Our own head as the dictionary of a FLAME file."""
    path = export_flame(load_head("default"), tmp_path_factory.mktemp("flame"))
    with np.load(path) as file:
        return {k: file[k] for k in file.files}


@pytest.fixture
def chumpy(monkeypatch) -> Any:
    """A module that looks like chumpy, as long as the sample is being written."""

    class Ch:
        def __init__(self, x: np.ndarray):
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    module.Ch = package.ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chumpy", package)
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


def official(arrays: dict[str, np.ndarray], chumpy: Any) -> dict[str, Any]:
    """Chumpy arrays, a sparse regressor, and things that are not arrays, as in the files of the FLAME page."""
    import scipy.sparse

    return {
        "v_template": chumpy(arrays["v_template"].astype(float)),
        "shapedirs": chumpy(arrays["shapedirs"].astype(float)),
        "posedirs": arrays["posedirs"].astype(float),
        "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"].astype(float)),
        "kintree_table": arrays["kintree_table"],
        "weights": arrays["weights"].astype(float),
        "f": arrays["f"],
        "bs_type": "lrotmin",
        "bs_style": "lbs",
        "J": chumpy(np.zeros((5, 3))),
    }


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickle_comes_back_as_the_same_head(arrays, chumpy, tmp_path, protocol: int):
    source = tmp_path / "generic_model.pkl"
    source.write_bytes(pickle.dumps(official(arrays, chumpy), protocol=protocol))
    target = convert_flame(source, tmp_path / "heads" / "mine.safetensors")
    assert [p.name for p in target.parent.iterdir()] == ["mine.safetensors"]
    ours, mine = load_head("default"), load_head(str(target))
    assert mine.n_shape == ours.n_shape
    args = ours.rest()
    args["shape"] = torch.randn(1, ours.n_shape, generator=torch.Generator().manual_seed(0))
    args["jaw_rad"] = torch.tensor([[0.2, 0.02, 0]])
    args["neck_rad"] = torch.tensor([[0.0, 0.3, 0.1]])
    assert (mine.vertices(**args) - ours.vertices(**args)).abs().max() < 1e-5
    # What the file does not say was carried over; on the same surface it lands where it was.
    points = mine.landmarks.points(mine.template_m[None]) - ours.landmarks.points(ours.template_m[None])
    assert points.norm(dim=-1).median() < 2e-4
    assert (mine.lip_pairs == ours.lip_pairs).all()
    assert (mine.regions.of_face == ours.regions.of_face).float().mean() > 0.99
    layout = uv_layout(32, mine)
    assert layout.count == uv_layout(32).count
    moved = layout.points(mine.template_m[None], mine.faces) - uv_layout(32).points(ours.template_m[None], ours.faces)
    assert moved.norm(dim=-1).median() < 1e-4


def test_another_person_with_another_mesh(arrays, tmp_path):
    """A different identity, coarser numbering and split triangles: places are carried over to about two millimetres."""
    ours = load_head("default")
    args = ours.rest()
    args["shape"] = torch.randn(1, ours.n_shape, generator=torch.Generator().manual_seed(1))
    person = ours.vertices(**args)[0]
    order = np.random.default_rng(0).permutation(len(person))
    back = np.argsort(order)
    other = {k: v.copy() for k, v in arrays.items()}
    other["v_template"] = 1.05 * person.numpy()[order] + np.float32([0.0, -0.03, 0.02])
    other["shapedirs"], other["posedirs"] = other["shapedirs"][order], other["posedirs"][order]
    other["weights"], other["J_regressor"] = other["weights"][order], other["J_regressor"][:, order]
    other["f"] = back[other["f"].astype(int)].astype(np.uint32)
    np.savez(tmp_path / "other.npz", **other)
    mine = load_head(str(convert_flame(tmp_path / "other.npz", tmp_path / "other.safetensors")))
    found = mine.landmarks.points(mine.template_m[None])[0]
    wanted = 1.05 * ours.landmarks.points(person[None])[0] + torch.tensor([0.0, -0.03, 0.02])
    assert (found - wanted).norm(dim=1)[:468].median() < 2.5e-3
    assert lip_gap_m(mine.template_m[None], mine) < 4e-3


def malicious(mark: Path) -> list[bytes]:
    """Pickles that would leave the file `mark`, or import something, if they ran."""

    def call(function: Any, *args: Any) -> Any:
        class Evil:
            def __reduce__(self):
                return function, args

        return Evil()

    raw = [
        b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR.",
        b"cbuiltins\nexec\n(S'1'\ntR.",
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"cnumpy.testing._private.utils\nrunstring\n(S'x'\nd\ntR.",
        b"ccopy_reg\n_reconstructor\n(cos\nsystem\ncbuiltins\nobject\nNtR.",
    ]
    evil = [
        call(os.system, f"touch {mark}"),
        call(eval, f"__import__('os').system('touch {mark}')"),
        call(subprocess.Popen, ["touch", str(mark)]),
        call(np.load, "x.npy"),
        call(importlib.import_module, "os"),
    ]
    for thing in evil:
        raw += [pickle.dumps(thing), pickle.dumps({"v_template": thing}, protocol=2)]
    return raw


def test_nothing_is_ever_run(tmp_path):
    mark = tmp_path / "EXECUTED"
    for i, data in enumerate(malicious(mark)):
        path = tmp_path / f"{i}.pkl"
        path.write_bytes(data)
        with pytest.raises(UnreadableFileError, match="Nothing in it was run"):
            convert_flame(path, tmp_path / "out.safetensors")
    assert not mark.exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_the_refused_pickles_are_dangerous(tmp_path):
    """The test above proves something: the plain unpickler does run one of them."""
    mark = tmp_path / "EXECUTED"
    pickle.loads(malicious(mark)[0])  # noqa: S301
    assert mark.exists()


def test_damaged_pickles_raise_one_error(chumpy, tmp_path):
    sample = {
        "v_template": chumpy(np.zeros((20, 3))),
        "weights": np.ones((4, 5)),
        "kintree_table": np.zeros((2, 5), int),
    }
    whole, rng = pickle.dumps(sample, protocol=2), random.Random(0)
    path, read = tmp_path / "damaged.pkl", 0
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(bytes(data[: rng.choice([len(data), rng.randrange(len(data))])]))
        try:
            read_pickle(path, ("v_template", "weights"))
            read += 1
        except UnreadableFileError:
            pass
    assert read < 1500


def test_array_types_and_orders(tmp_path):
    path = tmp_path / "a.pkl"
    sample = {
        "v_template": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "weights": np.arange(4, dtype=">f4"),
        "f": np.arange(3, dtype=np.uint8),
    }
    for protocol in range(6):
        path.write_bytes(pickle.dumps(sample, protocol=protocol))
        back = read_pickle(path, tuple(sample))
        for key, value in sample.items():
            assert (back[key] == value).all() and back[key].shape == value.shape
    path.write_bytes(pickle.dumps({"v_template": np.array([object()])}))
    with pytest.raises(UnreadableFileError):
        read_pickle(path, ("v_template",))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("shapedirs", np.zeros((4706, 3, 300), np.float32), "columns"),
        ("weights", np.zeros((4706, 4), np.float32), "weights"),
        ("v_template", np.full((4706, 3), np.nan, np.float32), "v_template"),
        ("f", np.full((10, 3), 5000), "vertices that do not exist"),
        ("kintree_table", np.zeros((2, 5), np.int64), "joints"),
        ("posedirs", None, "lacks posedirs"),
    ],
)
def test_wrong_content_is_named(arrays, tmp_path, key: str, value: np.ndarray | None, says: str):
    other = {k: v for k, v in arrays.items() if k != key} | ({} if value is None else {key: value})
    np.savez(tmp_path / "x.npz", **other)
    with pytest.raises(UnreadableFileError, match=says):
        convert_flame(tmp_path / "x.npz", tmp_path / "x.safetensors")


def test_other_errors(tmp_path, monkeypatch):
    with pytest.raises(UnreadableFileError, match="no file"):
        convert_flame(tmp_path / "nothing.pkl", tmp_path / "x.safetensors")
    (tmp_path / "a.pkl").write_bytes(b"x" * 100)
    with pytest.raises(InvalidInputError, match="safetensors"):
        convert_flame(tmp_path / "a.pkl", tmp_path / "x.npz")
    monkeypatch.setattr(flame_pickle, "MAX_BYTES", 50)
    with pytest.raises(LimitExceededError):
        convert_flame(tmp_path / "a.pkl", tmp_path / "x.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"not a head")
    with pytest.raises(IncompatibleFileError):
        load_head(str(tmp_path / "b.safetensors"))
