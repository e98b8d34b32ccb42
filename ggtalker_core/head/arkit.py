"""Named ARKit weights <-> the 50 expression coefficients and the jaw.

In the default head the first 49 coefficients are an invertible recombination of 49 ARKit shapes (all 52 but jawOpen,
jawLeft and jawRight, which are rotations of the jaw), chosen so that coefficients of random expressions have unit
variance; the 50th is a spare and moves nothing. Everything here is linear in the expression, hence exact in both
directions. Other heads (FLAME) come as near as their own expressions allow, with all 50 (retarget.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

JAW_NAMES = ("jawOpen", "jawLeft", "jawRight")
_MOUTH_STARTS = ("mouth", "jaw", "tongue", "cheekPuff")


def is_mouth(name: str) -> bool:
    """Whether an ARKit channel belongs to the mouth (driven by speech) rather than to brows, lids, nose and cheeks."""
    return name.startswith(_MOUTH_STARTS)


@dataclass(frozen=True)
class ArkitMap:
    """Converts between expression coefficients and the 52 named ARKit weights of one head."""

    names: tuple[str, ...]  # 52: the 49 of the expression, then jawOpen, jawLeft, jawRight
    psi_to_arkit: Tensor  # [49, E], E = 49 or 50
    arkit_to_psi: Tensor  # [E, 49]
    jaw_open_rad: float  # jaw rotation about x at jawOpen = 1
    jaw_side_rad: float  # jaw rotation about y at jawLeft = 1 (towards the person's left)

    @property
    def mouth(self) -> Tensor:
        """Channels of the mouth, jaw, tongue and puffed cheeks, [52] bool."""
        import torch

        return torch.tensor([is_mouth(n) for n in self.names], device=self.psi_to_arkit.device)

    @property
    def upper(self) -> Tensor:
        """Channels of brows, lids, gaze, nose and cheek raising, [52] bool."""
        return ~self.mouth

    def index(self, name: str) -> int:
        """The channel called `name`. Raises InvalidInputError where there is none."""
        if name not in self.names:
            raise InvalidInputError(f"No ARKit channel '{name}'; known: {', '.join(self.names)}.")
        return self.names.index(name)

    def to_weights(self, expression: Tensor, jaw_rad: Tensor) -> Tensor:
        """Expression [..., 50] and jaw [..., 3] radians -> ARKit weights [..., 52] in the order of `names`."""
        import torch

        face = expression[..., : self.psi_to_arkit.shape[1]] @ self.psi_to_arkit.to(expression).T
        side = jaw_rad[..., 1] / self.jaw_side_rad
        jaw = torch.stack([jaw_rad[..., 0] / self.jaw_open_rad, side.clamp(min=0), (-side).clamp(min=0)], -1)
        return torch.cat([face, jaw], -1)

    def from_weights(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """ARKit weights [..., 52] -> (expression [..., 50], jaw [..., 3] radians)."""
        import torch

        if weights.shape[-1] != len(self.names):
            raise InvalidInputError(f"Expected {len(self.names)} ARKit weights, got {list(weights.shape)}.")
        psi = weights[..., :49] @ self.arkit_to_psi.to(weights).T
        opening, left, right = weights[..., 49], weights[..., 50], weights[..., 51]
        side = self.jaw_side_rad * (left - right)
        jaw = torch.stack([self.jaw_open_rad * opening, side, torch.zeros_like(side)], -1)
        return torch.nn.functional.pad(psi, (0, 50 - psi.shape[-1])), jaw

    def expression(self, **weights: float) -> tuple[Tensor, Tensor]:
        """One expression from named weights: (expression [1, 50], jaw [1, 3]). A name without its side means both."""
        import torch

        row = torch.zeros(1, len(self.names), device=self.psi_to_arkit.device)
        for name, value in weights.items():
            sides = [name] if name in self.names else [name + "Left", name + "Right"]
            for side in sides:
                row[0, self.index(side)] = value
        return self.from_weights(row)

    def mix(self, mouth_expression: Tensor, mouth_jaw: Tensor, upper_expression: Tensor) -> Tensor:
        """Mouth channels of one expression with brows, lids and nose of another, exact. [..., 50] each -> [..., 50].

        The jaw belongs to the mouth and stays `mouth_jaw` ([..., 3]), which is only checked here.
        """
        if mouth_jaw.shape[-1] != 3 or mouth_expression.shape[-1] != 50 or upper_expression.shape[-1] != 50:
            raise InvalidInputError(
                "mix() needs expressions of 50 and a jaw of 3 numbers, got "
                f"{list(mouth_expression.shape)}, {list(mouth_jaw.shape)}, {list(upper_expression.shape)}."
            )
        return upper_expression + (mouth_expression - upper_expression) @ self.mouth_projection().to(mouth_expression).T

    def mouth_projection(self) -> Tensor:
        """The projection of expressions [50] onto their mouth channels, [50, 50]; a spare goes with the mouth."""
        import torch

        keep = self.mouth[:49].to(self.psi_to_arkit)
        matrix = torch.eye(50, dtype=self.psi_to_arkit.dtype, device=self.psi_to_arkit.device)
        known = self.psi_to_arkit.shape[1]
        matrix[:known, :known] = (self.arkit_to_psi * keep) @ self.psi_to_arkit
        return matrix

    def to(self, device: torch.device | str) -> ArkitMap:
        """The same map on `device`."""
        moved = (self.psi_to_arkit.to(device), self.arkit_to_psi.to(device))
        return ArkitMap(self.names, *moved, self.jaw_open_rad, self.jaw_side_rad)
