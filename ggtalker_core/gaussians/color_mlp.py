"""Colours that follow expression and pose: a small network with learned features per texel.

The paper's M_SH (supplementary, adaptation stage 5): wrinkles and shading that a constant colour averages away.
The part of the first layer that depends on the frame alone is folded into its bias, so a frame costs two products.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import IncompatibleFileError
from .config import ColorMlpConfig
from .drive import same_branch

N_CONDITION = 56  # 50 expression, 3 jaw, 3 head rotation
KEYS = ("features", "w1", "b1", "wc", "w2", "b2", "w3", "b3", "center", "inverse_std")


def new_color_mlp(n: int, condition: Tensor, config: ColorMlpConfig | None = None, seed: int = 0) -> dict[str, Tensor]:
    """Weights whose output starts near zero; `condition` [T, 56] sets the normalisation of the input."""
    cfg = config or ColorMlpConfig()
    rng = torch.Generator().manual_seed(seed)

    def weights(rows: int, cols: int, gain: float = 1.4) -> Tensor:
        return torch.randn(rows, cols, generator=rng) * (gain / rows**0.5)

    return {
        "features": 0.3 * torch.randn(n, cfg.features, generator=rng),
        "w1": weights(cfg.features, cfg.hidden), "b1": torch.zeros(cfg.hidden), "wc": weights(N_CONDITION, cfg.hidden),
        "w2": weights(cfg.hidden, cfg.hidden), "b2": torch.zeros(cfg.hidden),
        "w3": weights(cfg.hidden, cfg.out, 0.01), "b3": torch.zeros(cfg.out),
        "center": condition.mean(dim=0), "inverse_std": 1.0 / condition.std(dim=0, correction=0).clamp_min(0.05),
    }  # fmt: skip


def condition_of(expression: Tensor, jaw_rad: Tensor, rotation_rad: Tensor) -> Tensor:
    """What the colours depend on: [B, 50], [B, 3], [B, 3] -> [B, 56]."""
    return torch.cat([expression, jaw_rad * 10.0, same_branch(rotation_rad) * 5.0], dim=1)


def fold(mlp: Mapping[str, Tensor]) -> Tensor:
    """The part of the first layer that no frame changes, [N, hidden]: compute it once for an avatar."""
    return mlp["features"] @ mlp["w1"] + mlp["b1"]


def color_residual(mlp: Mapping[str, Tensor], condition: Tensor, fixed: Tensor | None = None) -> Tensor:
    """What is added to the colours: condition [B, 56] -> [B, N, 3]; `fixed` is `fold(mlp)`, made here if not given."""
    cond = ((condition - mlp["center"]) * mlp["inverse_std"]).clamp(-3, 3)
    fixed = fold(mlp) if fixed is None else fixed
    hidden = (fixed[None] + (cond @ mlp["wc"])[:, None]).relu()
    hidden = (hidden @ mlp["w2"] + mlp["b2"]).relu()
    return hidden @ mlp["w3"] + mlp["b3"]


def check_color_mlp(mlp: Mapping[str, Tensor], n_texels: int) -> None:
    """Raise IncompatibleFileError unless `mlp` has the tensors of this network for `n_texels` texels."""
    missing = [key for key in KEYS if key not in mlp]
    if missing:
        raise IncompatibleFileError(f"The avatar's colour network misses the tensors {', '.join(missing)}.")
    if int(mlp["features"].shape[0]) != n_texels or int(mlp["wc"].shape[0]) != N_CONDITION:
        raise IncompatibleFileError(
            f"The avatar's colour network was made for {int(mlp['features'].shape[0])} texels and "
            f"{int(mlp['wc'].shape[0])} conditions; this head needs {n_texels} and {N_CONDITION}."
        )
