"""From a clip to head parameters: face networks, landmark fitting, track files (see README.md)."""

from __future__ import annotations

from .config import TrackConfig
from .curves import TrackCurves, curves_of, curves_picture
from .finder import FaceFinder, FoundFaces
from .overlay import draw_overlay
from .track import face_finder, track_clip
from .track_file import load_track, save_track

__all__ = [
    "FaceFinder", "FoundFaces", "TrackConfig", "TrackCurves", "curves_of", "curves_picture", "draw_overlay",
    "face_finder", "load_track", "save_track", "track_clip",
]  # fmt: skip
