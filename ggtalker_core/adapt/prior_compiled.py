"""`losses.MapPrior.loss` for a processor, with its gradient in one go; compiled by numba at its first use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .cpu import kernels
from .losses import ANISOTROPY_FREE, GREY

if TYPE_CHECKING:
    from ..gaussians.texels import Texels
    from .config import Weights
    from .losses import MapPrior


def prior_loss(prior: MapPrior, weights: Weights) -> Callable[[Texels], Tensor]:
    """The prior of texels as a function, compiled where that can be: on the processor, with numba."""
    if prior.color.device.type == "cpu" and prior.color.dtype == torch.float32 and kernels() is not None:
        return CompiledPrior(prior, weights)
    return functools.partial(prior.loss, weights=weights)


class CompiledPrior:
    """A prior with its pairs of neighbours listed."""

    def __init__(self, prior: MapPrior, weights: Weights):
        """List the pairs that weigh something."""
        self.limits = [
            value.contiguous().numpy()
            for value in (prior.offset_max_m, prior.scale_max_m, prior.opaque, prior.color, prior.color_slack)
        ]
        n, single = len(prior.cell), np.float32
        self.terms = (
            single(weights.offset / n), single(weights.scale / (3 * n)), single(weights.anisotropy / n),
            single(ANISOTROPY_FREE), single(weights.opaque / n), single(weights.opaque_at_least),
            single(weights.stray / n),
        )  # fmt: skip
        self.pairs = _pairs(prior, weights)

    def __call__(self, texels: Texels) -> Tensor:
        """The prior's loss of `texels`; carries gradients to all but the quaternions."""
        return _Prior.apply(texels.offset_m, texels.log_scale, texels.opacity_logit, texels.color, self)  # type: ignore[misc]


def _pairs(prior: MapPrior, weights: Weights) -> list[Any]:
    """Pairs of neighbours that weigh something: both texels, weights of their roughness, level and hue; [P] each."""
    side = prior.across.shape[0]
    number = torch.full((side * side,), -1, dtype=torch.long)
    number[prior.cell] = torch.arange(len(prior.cell))
    page = number.view(side, side)
    first = torch.cat([page[:, :-1].flatten(), page[:-1].flatten()])
    second = torch.cat([page[:, 1:].flatten(), page[1:].flatten()])
    pages = torch.stack(
        [
            torch.cat([prior.across.flatten(), prior.down.flatten()]),
            torch.cat([prior.level_across.flatten(), prior.level_down.flatten()]) * weights.level,
            torch.cat([prior.hue_across.flatten(), prior.hue_down.flatten()]) * weights.hue,
        ]
    )
    kept = (first >= 0) & (second >= 0) & (pages != 0).any(0)
    return [value.contiguous().numpy() for value in (first[kept], second[kept], *pages[:, kept])]


class _Prior(torch.autograd.Function):
    """Loss and gradient in one go."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        """The loss; keeps its gradient."""
        *tensors, prior = args
        values = [t.detach().contiguous().numpy() for t in tensors]
        gradients = [np.zeros_like(value) for value in values]
        compiled = kernels()
        assert compiled is not None
        total = compiled.texel_terms(*values, *prior.limits, *prior.terms, *gradients)
        total += compiled.pair_terms(*prior.pairs, np.array(GREY, np.float32), *values, *gradients)
        ctx.gradients = gradients
        return tensors[0].new_tensor(total)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """The kept gradients, times that of the loss."""
        factor = np.float32(cotangents[0].item())
        return (*(torch.from_numpy(gradient * factor) for gradient in ctx.gradients), None)
