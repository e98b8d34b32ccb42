"""Which head a job uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadConfig:
    """The head and the resolution of its Gaussian page."""

    name: str = "default"
    uv_size: int = 512  # the paper's page; 256 standard, 128 draft

    @classmethod
    def tiny(cls) -> HeadConfig:
        """For tests."""
        return cls(uv_size=32)
