"""How well lips meet where the sound demands it: closure recall and precision on /p b m/ of aligned speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .phones import BILABIALS, VOWELS, Span, simple, split_phones

BILABIAL_NAMES = frozenset(("P", "B", "M"))  # ARPAbet
CLOSED_SHARE = 0.1  # lips count as closed below this share of the clip's 95th-percentile gap
TOLERANCE_S = 0.04
Phone = tuple[float, float, str]  # start s, duration s, ARPAbet


@dataclass
class ClosureCount:
    """Counts that can be added up over clips."""

    hits: list[bool] = field(default_factory=list[bool])  # per /p b m/: did the lips meet
    right: list[bool] = field(default_factory=list[bool])  # per closure outside pauses: was there a /p b m/
    vowel_shut: list[bool] = field(default_factory=list[bool])  # per vowel frame: were the lips shut
    pause_gap: list[float] = field(default_factory=list[float])  # gap in every pause frame

    @property
    def recall(self) -> float:
        """Share of /p b m/ with closed lips."""
        return float(np.mean(self.hits)) if self.hits else float("nan")

    @property
    def precision(self) -> float:
        """Share of closures that belong to a /p b m/."""
        return float(np.mean(self.right)) if self.right else float("nan")

    @property
    def shut_in_vowels(self) -> float:
        """Share of vowel frames with closed lips."""
        return float(np.mean(self.vowel_shut)) if self.vowel_shut else float("nan")

    def add(self, other: ClosureCount) -> None:
        """Take in the counts of another clip."""
        self.hits += other.hits
        self.right += other.right
        self.vowel_shut += other.vowel_shut
        self.pause_gap += other.pause_gap


def count_closures(gap: NDArray[np.floating], phones: Sequence[Phone], fps: float = 25.0) -> ClosureCount:
    """Compare a lip gap [T] (any unit, frame i at (i + 0.5) / fps) with aligned phones.

    A /p b m/ is hit when the gap falls under 10 % of the clip's 95th percentile within 40 ms of it. A run of closed
    frames is right when it comes within 40 ms of a /p b m/; runs that touch a pause, or a stretch of
    unknown speech ("?"), are not judged.
    """
    times = (np.arange(len(gap)) + 0.5) / fps
    threshold = CLOSED_SHARE * float(np.percentile(gap, 95))
    count, pause, lips = ClosureCount(), np.zeros(len(gap), bool), list[tuple[float, float]]()
    unjudged = np.zeros(len(gap), bool)
    for start, duration, name in phones:
        end, name = start + duration, name.strip("012").upper()
        inside = (times >= start) & (times < end)
        if name in BILABIAL_NAMES:
            lips.append((start - TOLERANCE_S, end + TOLERANCE_S))
            near = (times >= start - TOLERANCE_S) & (times <= end + TOLERANCE_S)
            if near.any():
                count.hits.append(bool(gap[near].min() < threshold))
        elif name == "?":  # nobody knows what is said here
            unjudged |= inside
        elif name == "SIL":
            pause |= inside
        elif name[0] in "AEIOU":
            count.vowel_shut += [bool(g < threshold) for g in gap[inside]]
    last = phones[-1][0] + phones[-1][1] if phones else 0.0
    closed = (gap < threshold) & (times < last)
    starts = np.flatnonzero(closed & ~np.concatenate([[False], closed[:-1]]))
    ends = np.flatnonzero(closed & ~np.concatenate([closed[1:], [False]]))
    for s, e in zip(starts, ends):
        if not (pause | unjudged)[max(0, s - 1) : e + 2].any():
            count.right.append(any(times[e] >= a and times[s] <= b for a, b in lips))
    count.pause_gap = [float(g) for g in gap[pause]]
    return count


def labels_of(spans: Sequence[Span]) -> list[Phone]:
    """IPA spans (start s, end s, IPA) as `count_closures` wants them: P B M, "SIL", a vowel ("AH"), "X"; "?" stays."""
    labels: list[Phone] = []
    for start, end, phone in split_phones(list(spans)):
        if phone == "?":
            labels.append((start, end - start, "?"))
            continue
        key = simple(phone)
        name = key.upper() if key in BILABIALS else "SIL" if not key else "AH" if key in VOWELS else "X"
        labels.append((start, end - start, name))
    return labels
