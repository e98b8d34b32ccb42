"""A FLAME-shaped file with everything but our own numbering, size, place and expression coefficients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ggtalker_core.head import HeadModel, load_head
from ggtalker_core.head.flame_files import convert_flame, export_flame

OURS = load_head("default")


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    """Our head as another person's FLAME file: other vertex order, size and place, scrambled expressions."""
    folder = tmp_path_factory.mktemp("flame")
    with np.load(export_flame(OURS, folder)) as file:
        arrays = {k: file[k] for k in file.files}
    rng = np.random.default_rng(0)
    shape = 0.5 * torch.randn(1, OURS.n_shape, generator=torch.Generator().manual_seed(1))
    person = OURS.vertices(**{**OURS.rest(), "shape": shape})[0].numpy()
    order = rng.permutation(len(person))
    scramble = np.linalg.qr(rng.normal(size=(50, 50)))[0].astype(np.float32)
    arrays["v_template"] = 1.05 * person[order] + np.float32([0.0, -0.03, 0.02])
    for key in ("shapedirs", "posedirs"):
        arrays[key] = 1.05 * arrays[key][order]
    arrays["shapedirs"][..., 300:350] = arrays["shapedirs"][..., 300:350] @ scramble
    arrays["weights"], arrays["J_regressor"] = arrays["weights"][order], arrays["J_regressor"][:, order]
    arrays["f"] = np.argsort(order)[arrays["f"].astype(int)].astype(np.uint32)
    np.savez(folder / "other.npz", **arrays)
    return load_head(str(convert_flame(folder / "other.npz", folder / "other.safetensors")))
