"""Which shots show the same person: upright grey faces are compared, nobody is recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .row_store import BLOCK, blocks, stay

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAME_PERSON = 0.87  # correlation of mean faces above which two shots show one person
_LEAST_FRAMES = 5  # shots with fewer faces are not judged
_LEAST_GAP = 3  # frames without a face after which it may be another one that is found
_JUMP = 0.7  # times the face's size, from one frame to the next


@dataclass(frozen=True)
class Shot:
    """A stretch of frames in which one face was followed without a break."""

    start: int
    stop: int
    person: int  # 0 = who is in most frames; -1 = nobody


def breaks_of(points: NDArray[np.floating], valid: NDArray[np.bool_], let_go: Callable[[], None] = stay) -> set[int]:
    """Frames at which a face is found again or lies somewhere else: it may be another one. points [T, N, 2]."""
    import numpy as np

    breaks: set[int] = set()
    last: int | None = None
    for k, i in enumerate(np.nonzero(valid)[0].tolist()):
        if k % BLOCK == 0:
            let_go()
        if last is not None:
            middle, before = points[i].mean(0), points[last].mean(0)
            extent = float(np.abs(points[last] - before).max()) * 2
            if i - last > _LEAST_GAP or float(np.linalg.norm(middle - before)) > _JUMP * extent:
                breaks.add(i)
        last = i
    return breaks


def shots_of(
    breaks: Iterable[int], valid: NDArray[np.bool_], portraits: NDArray[np.uint8], let_go: Callable[[], None] = stay
) -> list[Shot]:
    """Split at the breaks and group by person. valid [T], portraits [T, S, S] of the valid frames."""
    import numpy as np

    edges = [0, *sorted(breaks), len(valid)]
    spans = [(a, b) for a, b in zip(edges, edges[1:]) if b > a]
    faces = [_mean_face(portraits[a:b], valid[a:b], let_go) for a, b in spans]
    counts = [int(valid[a:b].sum()) for a, b in spans]
    people: list[list[int]] = []  # shots of each person
    for i in np.argsort(counts)[::-1].tolist():
        face = faces[i]
        if face is None:
            continue
        alike = [max((_likeness(face, faces[k]) for k in group), default=0.0) for group in people]
        if alike and (max(alike) > _SAME_PERSON or counts[i] < _LEAST_FRAMES):
            people[int(np.argmax(alike))].append(i)
        else:
            people.append([i])
    people.sort(key=lambda group: -sum(counts[i] for i in group))
    who = {i: person for person, group in enumerate(people) for i in group}
    return [Shot(a, b, who.get(i, -1)) for i, (a, b) in enumerate(spans)]


def _mean_face(
    portraits: NDArray[np.uint8], valid: NDArray[np.bool_], let_go: Callable[[], None]
) -> NDArray[np.float64] | None:
    """Mean of contrast-normalised faces, zero mean and unit length; None without faces."""
    import numpy as np

    if not valid.any():
        return None
    total = np.zeros(portraits[0].size)
    for start, stop in blocks(len(valid)):
        flat = portraits[start:stop][valid[start:stop]].reshape(-1, total.size).astype(np.float64)
        flat -= flat.mean(1, keepdims=True)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
        total += flat.sum(0)
        let_go()
    mean = total / valid.sum()
    return mean / (np.linalg.norm(mean) + 1e-9)


def _likeness(a: NDArray[np.float64] | None, b: NDArray[np.float64] | None) -> float:
    return 0.0 if a is None or b is None else float((a * b).sum())
