"""Defaults of the edits."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInputError


@dataclass(frozen=True)
class SmoothConfig:
    """Windows and orders of the Savitzky-Golay filters, in frames at 25 fps."""

    window: int = 5
    order: int = 2
    pose_window: int = 9
    pose_order: int = 3
    closed_gap_m: float = 0.0025  # below this distance the lips count as closed and are left alone

    def __post_init__(self) -> None:
        """A window must be odd and longer than the order."""
        for window, order in ((self.window, self.order), (self.pose_window, self.pose_order)):
            if window % 2 == 0 or not 0 <= order < window:
                raise InvalidInputError(
                    f"A smoothing window must be odd and longer than its order, got {window}, {order}."
                )

    @classmethod
    def tiny(cls) -> SmoothConfig:
        """For tests: short windows."""
        return cls(window=3, order=1, pose_window=3, pose_order=1)


@dataclass(frozen=True)
class BlinkConfig:
    """How often and how fast somebody blinks while speaking."""

    per_minute: float = 17.0
    closing_s: float = 0.08
    closed_s: float = 0.04
    opening_s: float = 0.16
    shortest_pause_s: float = 0.6

    @classmethod
    def tiny(cls) -> BlinkConfig:
        """For tests: many."""
        return cls(per_minute=60.0, shortest_pause_s=0.2)

    @property
    def length_s(self) -> float:
        """Seconds of a whole blink."""
        return self.closing_s + self.closed_s + self.opening_s
