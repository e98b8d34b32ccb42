"""Head model in the FLAME format: skinning, UV page, regions, landmarks, ARKit map, lip and lid measures."""

from __future__ import annotations

from .arkit import ArkitMap
from .landmarks import LandmarkEmbedding, LandmarkModel
from .model import HeadModel, load_head
from .regions import RegionMasks
from .uv import UVLayout, uv_layout

__all__ = [
    "ArkitMap", "HeadModel", "LandmarkEmbedding", "LandmarkModel", "RegionMasks", "UVLayout", "load_head", "uv_layout",
]  # fmt: skip
