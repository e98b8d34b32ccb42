"""Landmarks of one face through a sequence of frames: detect, follow, look again when lost. Frames are streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from ..progress import Progress, silent
from .crops import Square, square_of_points, stack
from .cuts import CutDetector
from .detection import Face, find_faces, overlap
from .flow import Steadier
from .mesh_pose import mesh_rotation
from .row_store import RowStore, stay
from .topology import MESH_PX, N_MESH, OUTER_EYE_LEFT, OUTER_EYE_RIGHT
from .views import USUAL, VIEWS, View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .networks import FaceNetworks

_CHUNK = 16  # frames per batch of the networks
_LOOK_ROUND = 8  # every so many frames the detector checks what the mesh follows
_LOOK_CLOSER = 5  # while nothing is found, every so many frames are searched in parts
_LEAST_EYES_PX = 12  # outer eye corners nearer than this are no use to anybody
_PORTRAIT_PX = 24  # side of the small grey pictures by which people are told apart


@dataclass(frozen=True)
class FoundFaces:
    """One face through the clip, and what else was seen."""

    landmarks_px: Tensor  # [T, 478, 2]; zeros where not valid
    score: Tensor  # [T] presence in [0, 1]
    valid: Tensor  # [T] bool
    cuts: tuple[int, ...]  # first frames of new shots
    faces_seen: Tensor  # [T] int64: faces that the detector saw, -1 where it did not look
    portraits: NDArray[np.uint8]  # [T, 24, 24] upright grey faces; zeros where not valid
    let_go: Callable[[], None] = stay  # gives back the memory of landmarks and portraits read so far (row_store.py)
    mesh_rotation: Tensor | None = None  # [T, 3, 3] what the mesh's depth says (mesh_pose.py); zeros where not valid


@dataclass(slots=True)
class _Found:
    """One frame's result while it is being worked out."""

    points: NDArray[np.floating] | None = None  # [478, 2]
    rotation: NDArray[np.floating] | None = None  # [3, 3]
    score: float = 0.0
    faces: int = -1
    portrait: NDArray[np.uint8] | None = None


@dataclass
class _Following:
    """What is carried from chunk to chunk."""

    square: Square | None = None
    lost: int = 0
    cut_detector: CutDetector = field(default_factory=CutDetector)
    cuts: list[int] = field(default_factory=list[int])


class FaceFinder:
    """Finds 478 landmarks per frame with the bundled networks.

    Where several faces are seen, the largest is taken at first, unless one is said to be meant, and then the one that
    overlaps the last position.
    """

    def __init__(
        self, device: str = "cpu", *, min_detection: float = 0.5, min_presence: float = 0.5,
        networks: FaceNetworks | None = None, views: int = 1, flow: float = 0.0,
    ):  # fmt: skip
        """`views`: crops per frame whose points are averaged (1, 2 or 4); `flow`: see flow.py, 0 = off.

        Raises MissingWeightsError where the bundled weights are missing.
        """
        if networks is None:
            from .networks import load_face_networks

            networks = load_face_networks(device)
        self._networks, self._device = networks, device
        self._min_detection, self._min_presence = min_detection, min_presence
        self._views, self._flow = VIEWS[views], flow

    def detect_landmarks(
        self, frames: Iterable[NDArray[np.uint8]], *, total: int = 0, progress: Progress = silent,
        near_px: NDArray[np.floating] | None = None,
    ) -> FoundFaces:  # fmt: skip
        """Follow one face through `frames` ([H, W, 3] each, read once, 16 held at a time).

        `near_px` [478, 2] are landmarks of the face that is meant where several are seen, from before the first frame.
        """
        state, found, steadier = _Following(), list[_Found](), Steadier(self._flow)
        state.square = None if near_px is None else _square(near_px)
        kept, done = _Kept(), 0
        for chunk in _chunks(frames, _CHUNK):
            results = self._chunk(chunk, len(found), state)
            steady: list[NDArray[np.floating] | None] = []
            if self._flow > 0:
                for i, (frame, result) in enumerate(zip(chunk, results), len(found)):
                    steady += steadier.add(frame, result.points, i in state.cuts)
            found += results
            before, done = done, _replace(found, done, steady) if self._flow > 0 else len(found)
            kept.take(found, before, done)
            progress(len(found), max(total, len(found)), f"landmarks: frame {len(found)}")
        kept.take(found, done, _replace(found, done, steadier.rest()))
        return kept.gathered(found, state.cuts)

    def matte(self, frame: NDArray[np.uint8], landmarks_px: NDArray[np.floating] | None = None) -> NDArray[np.uint8]:
        """How much of each pixel is the person, [H, W] 0..255; with landmarks only the part joined to that face."""
        from .matte import person_matte

        return person_matte(frame, self._networks.matte, landmarks_px, device=self._device)

    def _chunk(self, frames: list[NDArray[np.uint8]], start: int, state: _Following) -> list[_Found]:
        """The results of up to 16 frames."""
        results = [_Found() for _ in frames]
        cuts = [i for i, frame in enumerate(frames) if state.cut_detector.is_cut(frame)]
        state.cuts += [start + i for i in cuts]
        seen = self._look_round(frames, start, cuts, state, results)
        squares = self._first_squares(frames, cuts, seen, state)
        self._mesh(frames, squares, results)
        # Where that failed: what the detector says of the very frame.
        failed = [i for i, r in enumerate(results) if r.points is None]
        self._detect(frames, start, [i for i in failed if i not in seen], seen, state, results)
        again: list[Square | None] = [None] * len(frames)
        for i in failed:
            again[i] = _choose(seen[i], squares[i])
        self._mesh(frames, again, results)
        # The mesh is at its best when its region comes from landmarks of the same frame.
        own = [None if r.points is None else _square(r.points) for r in results]
        self._mesh(frames, own, results, self._views)
        self._check(seen, results)
        self._remember(results, cuts, state)
        return results

    def _look_round(
        self, frames: list[NDArray[np.uint8]], start: int, cuts: list[int], state: _Following, results: list[_Found]
    ) -> dict[int, list[Face]]:
        """Run the detector on every eighth frame, after cuts, and at once where nothing is being followed."""
        wanted = {i for i in range(len(frames)) if (start + i) % _LOOK_ROUND == 0} | set(cuts)
        if state.square is None:
            wanted = set(range(len(frames)))
        seen: dict[int, list[Face]] = {}
        self._detect(frames, start, sorted(wanted), seen, state, results)
        return seen

    def _detect(
        self, frames: list[NDArray[np.uint8]], start: int, wanted: list[int], seen: dict[int, list[Face]],
        state: _Following, results: list[_Found],
    ) -> None:  # fmt: skip
        """Fill `seen` for the frames `wanted`."""
        for closer in (False, True):
            part = [i for i in wanted if ((start + i) % _LOOK_CLOSER == 0) == closer]
            faces = self._find([frames[i] for i in part], closer)
            for i, found in zip(part, faces):
                seen[i] = found
                results[i].faces = len(found)

    def _find(self, frames: list[NDArray[np.uint8]], closer: bool) -> list[list[Face]]:
        if not frames:
            return []
        return find_faces(
            frames, self._networks.detector, min_score=self._min_detection, closer=closer, device=self._device
        )

    def _first_squares(
        self, frames: list[NDArray[np.uint8]], cuts: list[int], seen: dict[int, list[Face]], state: _Following
    ) -> list[Square | None]:
        """Where to look first: at the last known place, after a cut where the detector says."""
        squares: list[Square | None] = []
        current = state.square
        for i in range(len(frames)):
            if i in cuts:
                current = None
            if i in seen and (current is None or seen[i]):
                current = _choose(seen[i], current, following=True) or current
            squares.append(current)
        return squares

    def _mesh(
        self, frames: list[NDArray[np.uint8]], squares: Sequence[Square | None], results: list[_Found],
        views: tuple[View, ...] = USUAL,
    ) -> None:  # fmt: skip
        """Run the mesh where there is a square; results below the presence score are forgotten."""
        import numpy as np
        import torch

        part = [(i, square) for i, square in enumerate(squares) if square is not None]
        if not part:
            return
        crops = [view.cut(frames[i], square) for i, square in part for view in views]
        with torch.inference_mode():
            points, scores = (x.cpu() for x in self._networks.mesh(stack(crops, self._device)))
        for k, (i, square) in enumerate(part):
            own = range(k * len(views), (k + 1) * len(views))
            score = float(scores[own.start : own.stop].mean())
            seen = [(np.asarray(points[m]), view) for m, view in zip(own, views)]
            placed = np.mean([view.placed(mesh, square) for mesh, view in seen], axis=0)
            depth = np.mean([view.depth(mesh, square) for mesh, view in seen], axis=0)
            eyes_px = float(np.linalg.norm(placed[OUTER_EYE_LEFT] - placed[OUTER_EYE_RIGHT]))
            good = score >= self._min_presence and eyes_px >= _LEAST_EYES_PX
            results[i].score = score
            results[i].points = placed if good else None
            results[i].rotation = mesh_rotation(placed, depth) if good else None
            results[i].portrait = _portrait(crops[own.start]) if good else None

    def _check(self, seen: dict[int, list[Face]], results: list[_Found]) -> None:
        """Forget a mesh that has slid off: no detected face lies under it although the frame has one."""
        for i, faces in seen.items():
            points = results[i].points
            if points is not None and faces:
                low, high = points[:N_MESH].min(0), points[:N_MESH].max(0)
                box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
                if max(overlap(box, face.box_px) for face in faces) < 0.1:
                    results[i] = _Found(faces=len(faces), score=results[i].score)

    def _remember(self, results: list[_Found], cuts: list[int], state: _Following) -> None:
        """Carry the last position to the next chunk; after half a second without a face it is stale."""
        for i, result in enumerate(results):
            if i in cuts:
                state.square, state.lost = None, 0
            if result.points is not None:
                state.square, state.lost = _square(result.points), 0
            else:
                state.lost += 1
                if state.lost > _CHUNK:
                    state.square = None


def _replace(found: list[_Found], start: int, points: list[NDArray[np.floating] | None]) -> int:
    """Put steadied landmarks in from frame `start` on; returns the frame after them."""
    for i, steady in enumerate(points, start):
        found[i].points = steady
    return start + len(points)


def _square(points: NDArray[np.floating]) -> Square:
    return square_of_points(points[:N_MESH], OUTER_EYE_RIGHT, OUTER_EYE_LEFT)


def _choose(faces: Sequence[Face], current: Square | None, *, following: bool = False) -> Square | None:
    """The face that overlaps the current place best; else the largest one, unless one is being followed."""
    if not faces:
        return None
    if current is not None:
        half = current.side_px / 3  # the face's box is two thirds of the mesh's square
        box = (current.x_px - half, current.y_px - half, current.x_px + half, current.y_px + half)
        best = max(faces, key=lambda face: overlap(box, face.box_px))
        if overlap(box, best.box_px) > 0.1:
            return best.square()
        if following:
            return None
    return faces[0].square()


def _portrait(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of an upright face crop as a small grey picture."""
    import cv2
    import numpy as np

    a, b = MESH_PX // 6, MESH_PX * 5 // 6
    grey = cv2.cvtColor(crop[a:b, a:b], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_PORTRAIT_PX, _PORTRAIT_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _chunks(frames: Iterable[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    iterator = iter(frames)
    while chunk := list(islice(iterator, size)):
        yield chunk


class _Kept:
    """Finished landmarks; a long clip's lie in files, not in memory."""

    def __init__(self) -> None:
        """Nothing yet."""
        import numpy as np

        self._landmarks = RowStore((N_MESH + 10, 2), np.float32)
        self._portraits = RowStore((_PORTRAIT_PX, _PORTRAIT_PX), np.uint8)
        self._rotations = RowStore((3, 3), np.float32)
        self._valid: list[bool] = []

    def take(self, found: list[_Found], start: int, stop: int) -> None:
        """Move the pictures and points of the frames start..stop out of `found`; always the next frames."""
        import numpy as np

        landmarks = np.zeros((stop - start, N_MESH + 10, 2), np.float32)
        portraits = np.zeros((stop - start, _PORTRAIT_PX, _PORTRAIT_PX), np.uint8)
        rotations = np.zeros((stop - start, 3, 3), np.float32)
        for k, result in enumerate(found[start:stop]):
            if result.points is not None and result.portrait is not None and result.rotation is not None:
                landmarks[k], portraits[k], rotations[k] = result.points, result.portrait, result.rotation
                self._valid.append(True)
            else:
                self._valid.append(False)
            result.points = result.portrait = result.rotation = None
        self._landmarks.add(landmarks)
        self._portraits.add(portraits)
        self._rotations.add(rotations)

    def gathered(self, found: list[_Found], cuts: list[int]) -> FoundFaces:
        """All of it as tensors."""
        import torch

        landmarks, portraits, rotations = self._landmarks.rows(), self._portraits.rows(), self._rotations.rows()

        def let_go() -> None:
            landmarks.let_go()
            portraits.let_go()
            rotations.let_go()

        return FoundFaces(
            landmarks_px=landmarks.values,
            score=torch.tensor([r.score for r in found], dtype=torch.float32),
            valid=torch.tensor(self._valid, dtype=torch.bool),
            cuts=tuple(cuts),
            faces_seen=torch.tensor([r.faces for r in found], dtype=torch.int64),
            portraits=portraits.values.numpy(),
            let_go=let_go,
            mesh_rotation=rotations.values,
        )
