"""The rasteriser: 3D Gaussians to pictures, differentiable, with one interface over several backends."""

from __future__ import annotations

from .api import render, render_depth
from .config import RenderConfig
from .select import Availability, available_backends, choose_backend

__all__ = ["Availability", "RenderConfig", "available_backends", "choose_backend", "render", "render_depth"]
