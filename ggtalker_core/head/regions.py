"""Named regions of the head, as masks over vertices and triangles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# In the order of the asset; where regions meet, the vertex belongs to the later one.
REGION_NAMES = (
    "face", "lips", "lids", "brows", "nose", "ears", "scalp", "neck", "cavity", "socket", "eyes", "teeth_upper",
    "teeth_lower", "tongue",
)  # fmt: skip
_ALIASES = {"sockets": "socket"}
# Skin seen from outside; the rest lies inside the mouth or behind the lids.
SKIN_NAMES = ("face", "lips", "lids", "brows", "nose", "ears", "scalp", "neck")
# Later names win at a shared vertex: small regions before large ones.
_VERTEX_PRIORITY = (
    "scalp", "neck", "face", "ears", "nose", "brows", "cavity", "socket", "lids", "lips", "eyes", "teeth_upper",
    "teeth_lower", "tongue",
)  # fmt: skip


@dataclass(frozen=True)
class RegionMasks:
    """One region id per triangle and per vertex, with the names of the ids.

    Names: face, lips, lids, brows, nose, ears, scalp, neck, cavity (inside of the mouth), socket (behind the lids),
    eyes, eyes_left, eyes_right, teeth_upper, teeth_lower, tongue. Left and right are the person's own.
    """

    names: tuple[str, ...]
    of_face: Tensor  # [F] int64
    of_vertex: Tensor  # [V] int64
    left: Tensor  # [V] bool: on the person's left half (x > 0)
    left_face: Tensor  # [F] bool

    def vertices(self, *names: str) -> Tensor:
        """Vertices of any of the named regions, [V] bool. Raises InvalidInputError for an unknown name."""
        return self._mask(self.of_vertex, self.left, names)

    def faces(self, *names: str) -> Tensor:
        """Triangles of any of the named regions, [F] bool. Raises InvalidInputError for an unknown name."""
        return self._mask(self.of_face, self.left_face, names)

    def to(self, device: torch.device | str) -> RegionMasks:
        """The same masks on `device`."""
        moved = (t.to(device) for t in (self.of_face, self.of_vertex, self.left, self.left_face))
        return RegionMasks(self.names, *moved)

    def _mask(self, ids: Tensor, left: Tensor, names: tuple[str, ...]) -> Tensor:
        if not names:
            raise InvalidInputError("Name at least one region: " + ", ".join(self.names) + ".")
        mask = ids < 0
        for name in names:
            base, _, side = name.partition("_") if name.endswith(("_left", "_right")) else (name, "", "")
            base = _ALIASES.get(base, base)
            if base not in self.names:
                raise InvalidInputError(f"No head region '{name}'; known: {', '.join(self.names)}.")
            part = ids == self.names.index(base)
            mask = mask | (part & left if side == "left" else part & ~left if side == "right" else part)
        return mask


def masks_from_faces(of_face: Tensor, faces: Tensor, x_m: Tensor, names: tuple[str, ...]) -> RegionMasks:
    """Vertex regions from triangle regions. of_face [F] int64, faces [F, 3] int64, x_m [V] of the template."""
    of_vertex = of_face.new_zeros(int(x_m.shape[0]))
    for name in (n for n in _VERTEX_PRIORITY if n in names):
        region = names.index(name)
        of_vertex[faces[of_face == region].reshape(-1)] = region
    return RegionMasks(names, of_face, of_vertex, x_m > 0, x_m[faces].mean(1) > 0)
