"""What one track says of a person, for other frames of the same person and camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .fit import Fitted, Landmarks, known_motion
from .identity_fit import Person
from .refine import Look
from .skin import Appearance
from .topology import N_MESH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import Track
    from .config import TrackConfig


def known_person(head: HeadModel, landmarks: Landmarks, shared: Track, config: TrackConfig) -> Fitted:
    """A start for `fit_landmarks` at the person of `shared`: poses in closed form, faces at rest.

    Raises InvalidInputError where the pictures are of another size, so that the focal length means something else.
    """
    if tuple(shared.size_px) != tuple(landmarks.size_px):
        raise InvalidInputError(
            f"The shared track is of frames of {shared.size_px[0]}x{shared.size_px[1]}, these are "
            f"{landmarks.size_px[0]}x{landmarks.size_px[1]}: open both clips at one size."
        )
    bias = shared.bias_m if shared.bias_m is not None else shared.shape.new_zeros(N_MESH, 3)
    person = Person(shared.shape, float(shared.intrinsics_px[0, 0]), bias, shared.mesh_turn_rad)
    motion, points = known_motion(head, landmarks, person), landmarks.points_px
    return Fitted(person, motion, motion.jaw_rad.repeat(1, 2), points[..., 0], points)


def last_seen(shared: Track) -> NDArray[np.float32] | None:
    """Landmarks [478, 2] of the last frame of `shared` with a face: where to look for the person among others."""
    valid = shared.valid.nonzero().flatten()
    return shared.landmarks_px[int(valid[-1])].numpy() if len(valid) else None


def known_look(shared: Track) -> Look | None:
    """The skin colours and the relief of `shared`, where it has them."""
    if shared.albedo is None or shared.light is None or shared.offset_m is None:
        return None
    return Look(Appearance(shared.albedo, shared.light), shared.offset_m)
