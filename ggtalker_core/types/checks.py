"""Checks and moves that all of these share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


N_EXPRESSION = 50
N_LANDMARKS = 478
MAP_CHANNELS = 14

_T = TypeVar("_T")


def check_shape(owner: object, name: str, value: Tensor | None, shape: tuple[int | None, ...]) -> None:
    """Raise InvalidInputError unless `value` has `shape`, where None stands for any length."""
    if value is None:
        return
    got = tuple(value.shape)
    if len(got) != len(shape) or any(w is not None and g != w for g, w in zip(got, shape)):
        wanted = "[" + ", ".join("*" if w is None else str(w) for w in shape) + "]"
        raise InvalidInputError(f"{type(owner).__name__}.{name} must have shape {wanted}, got {list(got)}.")


def moved(owner: _T, device: torch.device | str) -> _T:
    """A copy of a dataclass whose tensors (also those inside nested dataclasses) are on `device`."""
    import torch

    changes: dict[str, Any] = {}
    for item in dataclasses.fields(owner):  # type: ignore[arg-type]
        value = getattr(owner, item.name)
        if isinstance(value, torch.Tensor):
            changes[item.name] = value.to(device)
    return dataclasses.replace(owner, **changes)  # type: ignore[type-var]
