"""Convert MediaPipe's face networks (Apache-2.0, from the mediapipe 0.10.21 wheel) to the pack's weight file, once.

    pip download --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 mediapipe==0.10.21
    pip install tflite==2.18.0              (parses the files; needed only here)
    python tools/face_networks/convert.py mediapipe-0.10.21-*.whl

The modules of ggtalker_core/tracking/networks register their layers in the order in which the data flows, so weights
are assigned by order, each with its shape checked. Values stay fp16 as in the source files.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "ggtalker_core" / "assets" / "face_networks.safetensors"
SOURCES = {
    "detector": (
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    "mesh": (
        "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
    ),
    "matte": (
        "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    ),
}
Layer = dict[str, torch.Tensor]  # "weight" and perhaps "bias", in torch's layout


class Graph:
    """A parsed .tflite file: constant tensors, and operators as (name, inputs, outputs)."""

    def __init__(self, data: bytes):
        import tflite

        model = tflite.Model.GetRootAsModel(data, 0)
        graph = model.Subgraphs(0)
        names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        kinds = {0: np.float32, 1: np.float16, 2: np.int32}
        self.constants: dict[int, torch.Tensor] = {}
        for i in range(graph.TensorsLength()):
            tensor = graph.Tensors(i)
            buffer = model.Buffers(tensor.Buffer())
            if buffer.DataLength():
                values = np.frombuffer(buffer.DataAsNumpy().tobytes(), kinds[tensor.Type()])
                self.constants[i] = torch.from_numpy(values.reshape(tensor.ShapeAsNumpy()).copy())
        self.ops: list[tuple[str, list[int], list[int]]] = []
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            code = model.OperatorCodes(op.OpcodeIndex())
            name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            if name == "CUSTOM":
                name = code.CustomCode().decode()
            ins = [op.Inputs(k) for k in range(op.InputsLength())]
            outs = [op.Outputs(k) for k in range(op.OutputsLength())]
            if name == "DEQUANTIZE":  # fp16 constants, widened where they are used
                self.constants[outs[0]] = self.constants[ins[0]]
            else:
                self.ops.append((name, ins, outs))
        self.outputs = {
            graph.Tensors(graph.Outputs(i)).Name().decode(): graph.Outputs(i) for i in range(graph.OutputsLength())
        }

    def behind(self, tensor: int) -> set[int]:
        """Indices of the operators on which `tensor` depends."""
        wanted, found = {tensor}, set[int]()
        for index in range(len(self.ops) - 1, -1, -1):
            _, ins, outs = self.ops[index]
            if wanted & set(outs):
                found.add(index)
                wanted |= set(ins)
        return found

    def layers(self, subset: set[int]) -> list[Layer]:
        """The operators of `subset` that have weights, in order, in torch's layout."""
        found: list[Layer] = []
        for index in sorted(subset):
            name, ins, _ = self.ops[index]
            w = [self.constants.get(i) for i in ins]
            if name == "CONV_2D":
                found.append({"weight": w[1].permute(0, 3, 1, 2), "bias": w[2]})
            elif name in ("DEPTHWISE_CONV_2D", "Convolution2DTransposeBias"):
                found.append({"weight": w[1].permute(3, 0, 1, 2), "bias": w[2]})
            elif name == "PRELU":
                found.append({"weight": w[1].flatten()})
        return found


def assign(module: nn.Module, layers: list[Layer], prefix: str) -> dict[str, torch.Tensor]:
    """Pair the module's own layers with `layers` by order."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.PReLU)
    own = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, kinds)]
    if len(own) != len(layers):
        raise SystemExit(f"{prefix}: the module has {len(own)} layers with weights, the file {len(layers)}")
    out: dict[str, torch.Tensor] = {}
    for (name, layer), source in zip(own, layers):
        for key, value in source.items():
            wanted = tuple(getattr(layer, key).shape)
            if tuple(value.shape) != wanted:
                raise SystemExit(f"{prefix}.{name}.{key}: the module wants {wanted}, the file has {tuple(value.shape)}")
            out[f"{prefix}.{name}.{key}" if name else f"{prefix}.{key}"] = value.half().contiguous()
    return out


def mesh_layers(graph: Graph) -> list[Layer]:
    """The attention mesh's layers in the order of our module: its branches are interleaved in the file."""
    behind = {name: graph.behind(tensor) for name, tensor in graph.outputs.items()}
    core = behind["output_mesh_identity"]
    flag = behind["conv_faceflag"] - core
    layers = graph.layers(core) + graph.layers(flag) + graph.layers(behind["output_lips"] - core)
    for side in ("left", "right"):  # of the image: the person's right eye comes first
        eye, iris = behind[f"output_{side}_eye"] - core, behind[f"output_{side}_iris"] - core
        layers += graph.layers(eye & iris) + graph.layers(eye - iris) + graph.layers(iris - eye)
    return layers


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="mediapipe-0.10.21-*.whl")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from safetensors.torch import save_file

    from ggtalker_core.tracking.networks import FaceDetector, FaceMesh, PersonMatte

    modules: dict[str, Any] = {"detector": FaceDetector(), "mesh": FaceMesh(), "matte": PersonMatte()}
    tensors: dict[str, torch.Tensor] = {}
    metadata = {"format": "pt", "license": "Apache-2.0", "source": "mediapipe 0.10.21 (Google), converted"}
    with zipfile.ZipFile(args.wheel) as wheel:
        for name, (path, sha256) in SOURCES.items():
            data = wheel.read(path)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise SystemExit(f"{path} is not the known file (sha256 differs)")
            graph = Graph(data)
            layers = mesh_layers(graph) if name == "mesh" else graph.layers(set(range(len(graph.ops))))
            tensors |= assign(modules[name], layers, name)
            metadata[f"{name}_source"] = f"{Path(path).name} sha256 {sha256}"
    save_file(tensors, args.out, metadata)
    print(f"{args.out}: {args.out.stat().st_size} bytes, sha256 {hashlib.sha256(args.out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
