"""Contact sheets of a built head, to be looked at: expressions, identities, UV checkerboard, regions, landmarks.

PYTHONPATH=. python tools/head/sheet.py OUT_FOLDER [--asset FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import zbuffer
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ggtalker_core.head.asset import DEFAULT_ASSET, read_default_head
from ggtalker_core.head.model import HeadModel
from ggtalker_core.head.uv import make_layout

SKIN, TEETH, TONGUE = (224, 182, 160), (245, 243, 236), (190, 90, 90)
PALETTE = np.array([
    (230, 200, 170), (220, 80, 90), (250, 170, 60), (110, 70, 40), (240, 220, 80), (150, 110, 220), (90, 90, 100),
    (120, 190, 200), (120, 20, 40), (30, 30, 60), (255, 255, 255), (180, 230, 255), (150, 210, 180), (255, 120, 200),
])  # fmt: skip


def colours(head: HeadModel) -> NDArray[np.float64]:
    """Plain skin, lips, brows, eyes with iris and pupil, teeth, tongue. [V, 3] 0..255"""
    v = head.template_m.numpy().astype(float)
    out = np.tile(np.array(SKIN, float), (len(v), 1))

    def part(*names: str) -> NDArray[np.bool_]:
        return head.regions.vertices(*names).numpy()

    out[part("lips")] = (205, 130, 122)
    out[part("teeth_upper", "teeth_lower")] = TEETH
    out[part("tongue")] = TONGUE
    out[part("cavity")] = (130, 50, 50)
    for side in ("eyes_left", "eyes_right"):
        eye = part(side)
        centre = v[eye].mean(0)
        radius = np.linalg.norm(v[:, :2] - centre[:2], axis=1)
        front = eye & (v[:, 2] > centre[2])
        out[eye] = 240
        out[front & (radius < 0.0058)] = (70, 50, 35)
        out[front & (radius < 0.0025)] = 15
    return out


def posed(head: HeadModel, shape: torch.Tensor | None = None, **kw: object) -> NDArray[np.float64]:
    """Vertices for named ARKit weights; jaw_rad, neck_rad, eyes_rad as lists override."""
    args = head.rest()
    if shape is not None:
        args["shape"] = shape
    poses = {k: kw.pop(k) for k in ("jaw_rad", "neck_rad", "eyes_rad") if k in kw}
    assert head.arkit is not None
    args["expression"], args["jaw_rad"] = head.arkit.expression(**{k: float(v) for k, v in kw.items()})  # type: ignore[arg-type]
    args |= {k: torch.tensor([v], dtype=torch.float32) for k, v in poses.items()}
    return head.vertices(**args)[0].double().numpy()


class Sheet:
    """Tiles with a caption, pasted into a grid."""

    def __init__(self, columns: int):
        self.columns, self.tiles = columns, []

    def add(self, picture: NDArray[np.uint8], caption: str) -> None:
        image = Image.fromarray(picture)
        ImageDraw.Draw(image).text((5, 5), caption, fill=(0, 0, 0))
        self.tiles.append(image)

    def save(self, path: Path) -> None:
        w, h = self.tiles[0].size
        rows = -(-len(self.tiles) // self.columns)
        page = Image.new("RGB", (w * self.columns, h * rows), (255, 255, 255))
        for i, tile in enumerate(self.tiles):
            page.paste(tile, ((i % self.columns) * w, (i // self.columns) * h))
        page.save(path)


VIEW = zbuffer.View(size=(340, 420), fov_deg=17)
EXPRESSIONS: list[tuple[str, dict[str, object], float]] = [
    ("neutral", {}, 0), ("neutral side", {}, 60), ("jawOpen .5", {"jawOpen": 0.5}, 0), ("jawOpen 1", {"jawOpen": 1}, 0),
    ("jawOpen 1 side", {"jawOpen": 1}, -60), ("jaw left", {"jawLeft": 1}, 0),
    ("smile + jaw", {"mouthSmile": 1, "jawOpen": 0.3}, 0),
    ("pucker", {"mouthPucker": 1}, 0), ("funnel", {"mouthFunnel": 1, "jawOpen": 0.4}, 0), ("blink", {"eyeBlink": 1}, 0),
    ("blink left", {"eyeBlinkLeft": 1}, 0), ("wide, brows up", {"eyeWide": 1, "browInnerUp": 1, "browOuterUp": 1}, 0),
    ("sneer, brows down", {"noseSneer": 1, "browDown": 1}, 0), ("teeth", {"mouthUpperUp": 1, "mouthLowerDown": 1}, 0),
    ("open + close", {"jawOpen": 0.5, "mouthClose": 0.5}, 0),
    ("press, roll", {"mouthPress": 0.7, "mouthRollLower": 0.5}, 0),
    ("frown", {"mouthFrown": 1}, 0), ("puff", {"cheekPuff": 1}, 0), ("tongue out", {"tongueOut": 1, "jawOpen": 0.4}, 0),
    ("neck, gaze", {"neck_rad": [0, 0.5, 0], "eyes_rad": [0, -0.4, 0, 0, -0.4, 0]}, 0),
]  # fmt: skip


def expression_sheet(head: HeadModel, path: Path) -> None:
    sheet, paint, faces = Sheet(5), colours(head), head.faces.numpy()
    for caption, weights, yaw in EXPRESSIONS:
        view = zbuffer.View(size=VIEW.size, fov_deg=VIEW.fov_deg, yaw_deg=yaw)
        sheet.add(zbuffer.shade(view, posed(head, **weights), faces, paint), caption)
    sheet.save(path)


def identity_sheet(head: HeadModel, path: Path) -> None:
    sheet, paint, faces = Sheet(6), colours(head), head.faces.numpy()
    generator = torch.Generator().manual_seed(3)
    for i in range(9):
        shape = torch.randn(1, head.n_shape, generator=generator)
        for yaw in (0, 55):
            view = zbuffer.View(size=VIEW.size, fov_deg=VIEW.fov_deg, yaw_deg=yaw)
            sheet.add(zbuffer.shade(view, posed(head, shape), faces, paint), f"identity {i}, 1 sigma")
    for k in range(6):
        shape = torch.zeros(1, head.n_shape)
        shape[0, k] = 2.5
        sheet.add(zbuffer.shade(VIEW, posed(head, shape), faces, paint), f"component {k} at +2.5")
    sheet.save(path)


def surface_sheet(head: HeadModel, path: Path) -> None:
    """Checkerboard, regions and landmarks from three sides; then the page itself."""
    faces, v = head.faces.numpy(), posed(head)
    assert head.uv is not None
    uv = head.uv.triangles().numpy()
    region = head.regions.of_face.numpy()
    sheet = Sheet(4)
    for yaw in (0, 45, -90, 180):
        view = zbuffer.View(size=(520, 620), fov_deg=17, yaw_deg=yaw)
        hits = zbuffer.trace(view, v, faces)
        at = (hits.barycentric[..., None] * uv[hits.triangle]).sum(2)
        board = (np.floor(np.nan_to_num(at) * 64).astype(int).sum(-1) % 2)[..., None] * np.array([120, 60, 20]) + 130
        sheet.add(zbuffer.shade(view, v, faces, board.astype(float), hits), "checkerboard, 8 texels of 512")
    for yaw in (0, 45, -90, 180):
        view = zbuffer.View(size=(520, 620), fov_deg=17, yaw_deg=yaw)
        hits = zbuffer.trace(view, v, faces)
        sheet.add(zbuffer.shade(view, v, faces, PALETTE[region[hits.triangle]].astype(float), hits), "regions")
    for pose, yaw in ((v, 0), (v, 45), (posed(head, jawOpen=0.5), 0), (posed(head, jawOpen=0.5), 60)):
        view = zbuffer.View(size=(520, 620), fov_deg=13, yaw_deg=yaw, centre_m=(0.0, 0.0, 0.06))
        points = head.landmarks.points(torch.from_numpy(pose)[None].float())[0].double().numpy()
        image = Image.fromarray(zbuffer.shade(view, pose, faces, colours(head)))
        draw = ImageDraw.Draw(image)
        for i, (x, y) in enumerate(view.project(points)[0]):
            draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=(0, 90, 255) if i < 468 else (0, 200, 0))
        sheet.add(np.asarray(image), "landmarks")
    sheet.save(path)
    layout = make_layout(512, head)
    page = np.full((512, 512, 3), 255, np.uint8)
    row, col = layout.row_col.numpy().T
    page[row, col] = PALETTE[layout.region.numpy()]
    Image.fromarray(page).resize((1024, 1024), Image.Resampling.NEAREST).save(path.with_name("page.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--asset", type=Path, default=DEFAULT_ASSET)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    head = read_default_head(args.asset)
    expression_sheet(head, args.folder / "expressions.png")
    identity_sheet(head, args.folder / "identities.png")
    surface_sheet(head, args.folder / "surface.png")


if __name__ == "__main__":
    main()
