"""Training shards as safetensors and as WebDataset tars hold the same; what is no shard is refused in words."""

import json
import tarfile

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression.shards import read_shard, write_shard
from ggtalker_core.expression.training_data import TrainingSet


def tensors(chunks=3, seed=0, frames=None):
    g = torch.Generator().manual_seed(seed)
    out = {
        "features": torch.randn(chunks, 50, 8, generator=g).half(),
        "channels": torch.rand(chunks, 2, 50, 13, generator=g).half(),
        "manners": torch.zeros(chunks, 2, 4).half(), "closure": torch.zeros(chunks, 50).half(),
    }  # fmt: skip
    return out if frames is None else out | {"frames": torch.full((chunks,), frames, dtype=torch.int32)}


@pytest.mark.parametrize("ending", ["tar", "safetensors"])
def test_what_is_written_is_read(tmp_path, ending):
    made = tensors(frames=40)
    write_shard(tmp_path / f"a.{ending}", made, [[[0.0, 0.1, "m"]]] * 3)
    got = read_shard(tmp_path / f"a.{ending}")
    assert set(got) == set(made) and got["frames"].tolist() == [40] * 3
    assert all(torch.equal(got[name], made[name].to(got[name].dtype)) for name in made)
    assert not list(tmp_path.glob("*.part"))


def test_a_tar_has_the_layout_that_webdataset_reads(tmp_path):
    """Files of a chunk stand together and share what comes before the first dot."""
    write_shard(tmp_path / "shard000.tar", tensors(2), [[[0.0, 0.1, "m"]], []])
    with tarfile.open(tmp_path / "shard000.tar") as tar:
        names = tar.getnames()
        phones = json.loads(tar.extractfile("shard000_00000.json").read())  # type: ignore[union-attr]
    keys = [name.partition(".")[0] for name in names]
    assert sorted(set(keys)) == ["shard000_00000", "shard000_00001"] and keys == sorted(keys)
    assert phones == {"phones": [[0.0, 0.1, "m"]]}


def test_both_kinds_are_mixed_in_one_folder(tmp_path):
    write_shard(tmp_path / "a.safetensors", tensors(3, seed=1))
    write_shard(tmp_path / "b.tar", tensors(2, seed=2, frames=30))
    data = TrainingSet.load(tmp_path)
    assert data.frames.tolist() == [50, 50, 50, 30, 30]
    assert torch.equal(data.features[3:], tensors(2, seed=2)["features"])


def test_what_is_no_shard_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"not a tar")
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.add(__file__, "readme.txt")
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with tarfile.open(tmp_path / "d.tar", "w") as tar:  # a pickle must not be opened
        tar.add(tmp_path / "x.npy", "k.features.npy")
    for name in ("a.tar", "b.safetensors", "c.tar", "d.tar"):
        with pytest.raises(InvalidInputError, match="cannot be read as a training shard"):
            read_shard(tmp_path / name)
    some = tensors()
    del some["closure"]
    write_shard(tmp_path / "e.tar", some)
    with pytest.raises(InvalidInputError, match="lacks closure"):
        read_shard(tmp_path / "e.tar")
    with pytest.raises(InvalidInputError, match="ends in"):
        write_shard(tmp_path / "e.zip", some)
