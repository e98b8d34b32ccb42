"""The three networks with their weights, loaded once per device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from ...errors import MissingWeightsError
from .face_detector import FaceDetector
from .face_mesh import FaceMesh
from .person_matte import PersonMatte

WEIGHTS = Path(__file__).resolve().parents[2] / "assets" / "face_networks.safetensors"


@dataclass(frozen=True)
class FaceNetworks:
    """Networks in evaluation mode, float32, without gradients."""

    detector: FaceDetector
    mesh: FaceMesh
    matte: PersonMatte


@lru_cache(maxsize=4)
def load_face_networks(device: str = "cpu") -> FaceNetworks:
    """The networks on `device`.

    Raises MissingWeightsError if the bundled weight file is missing or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(WEIGHTS, device="cpu")
    except (OSError, SafetensorError) as error:
        raise MissingWeightsError(
            f"The face networks' weights ({WEIGHTS}) cannot be read ({error}). The file is part of the pack: "
            "reinstall the pack, or run tools/face_networks/convert.py."
        ) from error
    networks = FaceNetworks(FaceDetector(), FaceMesh(), PersonMatte())
    for name in ("detector", "mesh", "matte"):
        module: nn.Module = getattr(networks, name)
        part = {k[len(name) + 1 :]: v.float() for k, v in tensors.items() if k.startswith(name + ".")}
        try:
            module.load_state_dict(part)
        except RuntimeError as error:
            raise MissingWeightsError(
                f"{WEIGHTS.name} does not fit the network '{name}' ({error}). Reinstall the pack."
            ) from error
        module.requires_grad_(False).eval().to(torch.device(device))
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 2-3 times faster on CPUs
    return networks
