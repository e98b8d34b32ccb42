"""MediaPipe's face networks as plain torch modules, with weights of our own asset file (Apache-2.0)."""

from __future__ import annotations

from .face_detector import FaceDetector
from .face_mesh import FaceMesh
from .load import FaceNetworks, load_face_networks
from .person_matte import PersonMatte

__all__ = ["FaceDetector", "FaceMesh", "FaceNetworks", "PersonMatte", "load_face_networks"]
