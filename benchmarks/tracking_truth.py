"""Clips whose truth is known: the made-up person of tools/sample, drawn by its own z-buffer, which no fit ever uses.

python benchmarks/tracking_truth.py SCENE FOLDER     draws one scene (about 1 s per frame) unless it is
                                                    there already, tracks it and prints the scores
python benchmarks/tracking_truth.py dev FOLDER       the same for the scenes that numbers are chosen on, and the mean

A scene is an identity (in the span of the head's basis, or pushed out of it), a lens, a voice's worth of mouth, blinks,
glances and head turns, before a busy wall, with grain, written as H.264. The truth lies beside it.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SIZE, FRAMES, FPS = 400, 75, 25
DRAWING = 2  # counts changes of how the person is drawn


@dataclass(frozen=True)
class Scene:
    """What differs from clip to clip."""

    seed: int
    focal_over_side: float
    view_m: float = 0.40  # height of the picture at the head
    turn: float = 1.6  # times the usual head motion
    bump_mm: float = 0.0  # how far the skull is pushed out of the span of the identity basis
    character: float = 0.4  # standard deviation of the identity coefficients
    grain: float = 2.0  # levels
    crf: int = 23


# What the tracker's numbers are chosen on: other people, lenses and movements than those that are scored.
DEV_SCENES = {
    "dev_wide": Scene(seed=101, focal_over_side=1.4, view_m=0.42, turn=2.0, bump_mm=0.5),
    "dev_near": Scene(seed=102, focal_over_side=1.8, view_m=0.38, bump_mm=1.0, grain=3.0, crf=26),
    "dev_middle": Scene(seed=103, focal_over_side=2.0, view_m=0.46, turn=1.2, bump_mm=0.7),
    "dev_portrait": Scene(seed=104, focal_over_side=2.3, turn=2.2, bump_mm=0.4, crf=26),
    "dev_far": Scene(seed=105, focal_over_side=2.7, view_m=0.42, turn=1.8, bump_mm=1.0, grain=3.0),
    "dev_long": Scene(seed=106, focal_over_side=3.2, view_m=0.38, turn=1.6, bump_mm=0.6),
}
SCORED_SCENES = {
    "near_lens": Scene(seed=3, focal_over_side=1.5, grain=3.0, crf=26),
    "portrait_lens": Scene(seed=11, focal_over_side=2.2, bump_mm=1.0),
    "long_lens": Scene(seed=29, focal_over_side=3.0, view_m=0.44, turn=2.2, bump_mm=0.7),
}
SCENES = DEV_SCENES | SCORED_SCENES


def draw(name: str, folder: Path) -> Path:
    """The clip of a scene; its truth is the .pt beside it."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "sample")]
    import cv2
    import numpy as np
    import torch
    from person import Lens, Person

    from ggtalker_core.head import load_head
    from ggtalker_core.video import write_video

    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"truth_{name}.mp4"
    scene, head = SCENES[name], load_head()
    rng, generator = np.random.default_rng(scene.seed), torch.Generator().manual_seed(scene.seed)
    shape = scene.character * torch.randn(1, head.n_shape, generator=generator)
    head = with_teeth(pushed(head, scene.bump_mm / 1e3, generator))
    moves = _poses(head, scene, rng)
    lens = Lens(
        size=SIZE, distance_m=scene.focal_over_side * scene.view_m, view_m=scene.view_m,
        centre_y_m=float(rng.uniform(0.01, 0.03)),
    )  # fmt: skip
    wall = _wall(rng)
    vertices = head.vertices(shape, moves.expression, moves.jaw_rad, moves.neck_rad, moves.eyes_rad)
    vertices = vertices + torch.from_numpy(moves.sway_m).float()[:, None]
    seen = (vertices - torch.tensor([0.0, lens.centre_y_m, lens.distance_m])) * torch.tensor([1.0, -1.0, -1.0])
    kept = target.with_suffix(".pt")
    if target.is_file() and kept.is_file():  # a drawing of other mouth shapes than today's is no truth
        known = torch.load(kept)
        if known.get("drawing") == DRAWING and float((known["vertices_m"] - seen).abs().max()) < 1e-5:
            return target
    person = Person(head, shape, seed=scene.seed, hairs=14000)
    light_mouth(person)

    def frames() -> Any:
        for i in range(FRAMES):
            picture = person.picture(
                moves.expression[i : i + 1], moves.jaw_rad[i : i + 1], moves.neck_rad[i : i + 1],
                moves.eyes_rad[i : i + 1], moves.sway_m[i], lens, wall,
            )  # fmt: skip
            picture = cv2.GaussianBlur(picture, (0, 0), 0.6) + rng.normal(scale=scene.grain, size=picture.shape)
            yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    write_video(target, frames(), fps=Fraction(FPS), size_px=(SIZE, SIZE), crf=scene.crf)
    truth = {
        "vertices_m": seen, "focal_px": torch.tensor(scene.focal_over_side * SIZE), "jaw_rad": moves.jaw_rad,
        "neck_rad": moves.neck_rad, "expression": moves.expression, "shape": shape[0],
        "drawing": DRAWING,
    }  # fmt: skip
    torch.save(truth, target.with_suffix(".pt"))
    return target


def pushed(head: Any, size_m: float, generator: Any) -> Any:
    """The head with its template moved by smooth waves of up to about `size_m` that no identity coefficient makes."""
    import torch

    points = head.template_m
    waves = torch.randn(6, 3, generator=generator) * 40.0  # radians per metre
    phases, ways = torch.rand(6, generator=generator) * 6.28, torch.randn(6, 3, generator=generator)
    moved = (torch.sin(points @ waves.T + phases) @ ways) / 6**0.5 * size_m / 1.7
    # Eyes, teeth and the inside of the mouth move as little as what is round them, so that nothing pokes through.
    return dataclasses.replace(
        head, template_m=points + moved, joint_template_m=head.joint_template_m + head.joint_regressor @ moved
    )


def with_teeth(head: Any) -> Any:
    """The head with its upper teeth where people have them: they show below the lip as soon as the mouth opens.

    The bundled head's end above the line of the lips; an open mouth without them is read as closed by the detector.
    Teeth are no part of any score.
    """
    template = head.template_m.clone()
    template[head.regions.vertices("teeth_upper")] += template.new_tensor([0.0, -0.003, 0.001])
    return dataclasses.replace(head, template_m=template)


def light_mouth(person: Any) -> None:
    """Upper teeth in the light, the rest of the mouth in its shade, lips drier than in the sample."""
    import numpy as np
    import paint

    fine = person.fine
    place = fine.points(person.rest, person.rest_normals)[0]
    depth = person.depth_in_mouth[: len(place)]

    def of(*names: str) -> Any:
        return person._faces_of(*names)[fine.origin]

    upper, lower, cavity = of("teeth_upper"), of("teeth_lower"), of("cavity")
    depth[upper] = -0.35 * np.clip((place[upper][:, 2] - 0.09) / 0.012, 0, 1)
    depth[lower], depth[cavity] = np.maximum(depth[lower], 0.75), np.maximum(depth[cavity], 0.8)
    lips = np.clip(1.7 * paint.spread(fine, person._mask("lips", soft=1)) - 0.55, 0, 1)
    person.gloss[: len(place)] *= (1 - 0.5 * upper) * (1 - 0.6 * lips)


def _poses(head: Any, scene: Scene, rng: Any) -> Any:
    import torch
    from motion import poses

    from ggtalker_core.expression.coarticulation import SHAPES

    keys, phones, time = [k for k in SHAPES if k], [], 0.3
    while time < FRAMES / FPS - 0.3:
        length = float(rng.uniform(0.05, 0.14))
        phones.append((time, time + length, str(rng.choice(keys))))
        time += length
        if rng.random() < 0.06:
            time += 0.35  # a pause with the mouth closed
    moves = poses(head, phones, FRAMES / FPS, FPS, scene.seed)
    torch.manual_seed(scene.seed)
    return dataclasses.replace(moves, neck_rad=moves.neck_rad * scene.turn)


def _wall(rng: Any) -> Any:
    """A wall with things on it, linear light."""
    import cv2
    import numpy as np

    wall = np.full((SIZE, SIZE, 3), 0.25, np.float32)
    for _ in range(40):
        a, b = rng.integers(0, SIZE, 2), rng.integers(0, SIZE, 2)
        cv2.rectangle(wall, a.tolist(), b.tolist(), rng.uniform(0.05, 0.5, 3).tolist(), int(rng.choice([-1, 3, 9])))
    return cv2.GaussianBlur(wall, (0, 0), 3.0)


def score(track: Any, truth: dict[str, Any]) -> dict[str, float]:
    """How far a track is from the truth; both heads in camera axes."""
    import torch

    from ggtalker_core.head import load_head
    from ggtalker_core.head.measure import lid_gap_m, lip_gap_m, lip_opening_m
    from ggtalker_core.head.pose import axis_angle_to_matrix

    head = load_head(track.head_model)
    seen = camera_vertices(track, head)
    true = truth["vertices_m"]
    skin = head.regions.vertices("face", "lips", "lids", "brows", "nose").nonzero()[:, 0]
    whole = head.regions.vertices("face", "lips", "lids", "brows", "nose", "ears", "scalp").nonzero()[:, 0]
    camera = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turns = [axis_angle_to_matrix(track.rotation_rad), camera @ axis_angle_to_matrix(truth["neck_rad"])]
    between = turns[0] @ turns[1].mT
    angle = degrees(between)
    mean = torch.linalg.svd(between.mean(0))
    steady = degrees(between @ (mean.U @ mean.Vh).T)  # what is left after one rotation for the whole clip
    upright = [head_axes(v, turn) for v, turn in zip((seen, true), turns)]
    gaps = [lip_gap_m(v, head) for v in (seen, true)]
    lids = [lid_gap_m(v, head) for v in upright]
    openings = [lip_opening_m(v, head) for v in upright]
    return {
        "vertices_face": rms_mm(seen[:, skin], true[:, skin]),
        "vertices_head": rms_mm(seen[:, whole], true[:, whole]),
        "vertices_face_scaled": rms_mm(seen[:, skin], true[:, skin], scaled=True),
        "jaw": float((track.jaw_rad - truth["jaw_rad"])[:, 0].abs().rad2deg().mean()),
        "rotation": float(angle.mean()),
        "rotation_without_mean": float(steady.mean()),
        "focal": abs(float(track.intrinsics_px[0, 0] / truth["focal_px"]) - 1) * 100,
        "lip_gap_correlation": float(torch.corrcoef(torch.stack(gaps))[0, 1]),
        "lip_opening_correlation": float(torch.corrcoef(torch.stack(openings))[0, 1]),
        "lip_gap_error": float((gaps[0] - gaps[1]).abs().mean() * 1e3),
        "blink_recall": blinks_found(*lids),
    }


def camera_vertices(track: Any, head: Any) -> Any:
    """Vertices [T, V, 3] in camera axes."""
    from ggtalker_core.head.pose import transform

    posed = head.vertices(
        track.shape, track.expression, track.jaw_rad, track.neck_rad, track.eyes_rad, track.offset_m
    )  # fmt: skip
    return transform(posed, track.rotation_rad, track.translation_m)


def kabsch(a: Any, b: Any) -> tuple[Any, Any]:
    """Rotation [T, 3, 3] and shift [T, 3] that carry a onto b [T, N, 3] best."""
    import torch

    mean_a, mean_b = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
    u, _, vh = torch.linalg.svd((b - mean_b).mT @ (a - mean_a))
    sign = torch.linalg.det(u @ vh)
    fix = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], 1)
    turn = (u * fix[:, None]) @ vh
    return turn, (mean_b - mean_a @ turn.mT)[:, 0]


def rms_mm(seen: Any, true: Any, scaled: bool = False) -> float:
    """Root mean square distance after the best rotation and shift of every frame, `scaled`: and one size for all."""
    if scaled:  # a single camera cannot tell a large head far away from a small one near by
        size = [(v - v.mean(1, keepdim=True)).square().sum().sqrt() for v in (seen, true)]
        seen = seen * (size[1] / size[0])
    turn, shift = kabsch(seen, true)
    return float((seen @ turn.mT + shift[:, None] - true).square().sum(-1).mean().sqrt() * 1e3)


def degrees(turn: Any) -> Any:
    """Angles [T] of rotations."""
    cosine = (turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    return cosine.clamp(-1, 1).acos().rad2deg()


def head_axes(vertices: Any, turn: Any) -> Any:
    """Back from the camera, for what is measured along the head's own axes."""
    return vertices @ turn


def blinks_found(seen: Any, true: Any) -> float:
    """Share of the true blinks (gap under 30 % of the usual) during which, +-1 frame, the found gap is under 50 %."""
    import torch

    seen, true = seen.mean(1), true.mean(1)
    shut = true < 0.3 * true.quantile(0.8)
    low = seen < 0.5 * seen.quantile(0.8)
    near = low.clone()
    near[1:] |= low[:-1]
    near[:-1] |= low[1:]
    starts = shut & ~torch.cat([torch.zeros(1, dtype=torch.bool), shut[:-1]])
    found, total = 0, 0
    for start in starts.nonzero()[:, 0].tolist():
        stop = start
        while stop < len(shut) and bool(shut[stop]):
            stop += 1
        total += 1
        found += int(bool(near[start:stop].any()))
    return found / max(total, 1)


def oracle_landmarks(truth: dict[str, Any], noise_iod: float, seed: int = 0) -> Any:
    """The true landmarks [T, 478, 2] in pixels, with noise in fractions of the inter-ocular distance."""
    import torch

    from ggtalker_core.head import load_head

    points = load_head().landmarks.points(truth["vertices_m"])
    flat = truth["focal_px"] * points[..., :2] / points[..., 2:] + SIZE / 2
    iod = (flat[:, 33] - flat[:, 263]).norm(dim=-1).median()
    return flat + noise_iod * iod * torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed))


def measure(name: str, folder: Path) -> dict[str, float]:
    """Every score of one scene: KIND/MEASURE with the kinds fast, full (both: detected landmarks) and oracle."""
    path = draw(name, folder)
    import torch

    from ggtalker_core.tracking import TrackConfig, face_finder, track_clip
    from ggtalker_core.video import open_clip

    torch.set_num_threads(1)
    clip, truth = open_clip(path), torch.load(path.with_suffix(".pt"))
    found = face_finder(TrackConfig()).detect_landmarks(clip.frames())
    tracks = {
        "fast": track_clip(clip, landmarks=found),
        "full": track_clip(clip, TrackConfig.full(), landmarks=found),
        # True landmarks have none of the mesh's habit of overstating yaw.
        "oracle": track_clip(clip, TrackConfig(habit=0.0), landmarks=oracle_landmarks(truth, 0.01)),
    }
    return {f"{kind}/{key}": value for kind, track in tracks.items() for key, value in score(track, truth).items()}


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in (*SCENES, "dev"):
        raise SystemExit(__doc__)
    sys.path.insert(0, str(ROOT))
    if sys.argv[1] in SCENES:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
    else:
        found = {name: measure(name, Path(sys.argv[2])) for name in DEV_SCENES}
        mean = {key: sum(own[key] for own in found.values()) / len(found) for key in found["dev_near"]}
        print(json.dumps(found | {"mean": mean}, indent=1))
