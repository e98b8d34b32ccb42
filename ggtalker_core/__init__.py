"""GGTalker: a person's clip becomes a 3D Gaussian head that speaks any audio. Knows nothing of ComfyUI."""

__version__ = "0.1.0"
