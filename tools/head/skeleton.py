"""Five joints (root, neck, jaw, left eye, right eye) from MakeHuman's bones: weights, regressor, jaw correctives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from identity import Samples
from makehuman import PARTS
from numpy.typing import NDArray
from surface import FLIP, symmetric

Points = NDArray[np.float64]
ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
NECK_SHARE = {"neck03": 0.66, "neck02": 0.33}  # how far these bones follow the head; the rest stays with the root
ANGLES_RAD = np.linspace(-0.6, 0.6, 2401)


@dataclass(frozen=True)
class Skeleton:
    weights: Points  # [V, 5]
    regressor: Points  # [5, V]
    joints: Points  # [5, 3]
    correctives: Points  # [2, V, 3]
    jaw_open_rad: float
    jaw_side_rad: float


def parts_of(triangles: NDArray[np.int64], groups: NDArray[np.str_]) -> dict[str, NDArray[np.int64]]:
    """Vertex ids of eyes, tongue and teeth."""
    return {name: np.unique(triangles[groups == name]) for name in PARTS}


def skin_weights(
    names: list[str],
    parents: list[int],
    weights: Points,
    parts: dict[str, NDArray[np.int64]],
    mirror: NDArray[np.int64],
) -> Points:
    """163 bones -> 5 joints, mirror symmetric, [V, 5]."""

    def under(bone: str) -> list[int]:
        out, todo = [], [names.index(bone)]
        while todo:
            out.append(todo.pop())
            todo += [i for i, p in enumerate(parents) if p == out[-1]]
        return out

    jaw, head = set(under("jaw")), set(under("head"))
    out = np.zeros((len(weights), 5))
    for i, name in enumerate(names):
        if i in jaw:
            out[:, JAW] += weights[:, i]
        elif i in head:  # the eyes are set below
            out[:, NECK] += weights[:, i]
        else:
            share = NECK_SHARE.get(name, 0.0)
            out[:, NECK] += share * weights[:, i]
            out[:, ROOT] += (1 - share) * weights[:, i]
    out = (out + out[mirror]) / 2
    for part, joint in zip(PARTS, (LEFT_EYE, RIGHT_EYE, None, NECK, JAW)):
        if joint is not None:
            out[parts[part]] = np.eye(5)[joint]
    return out / out.sum(1, keepdims=True)


def regress(samples: Points, template: Points, joints: Points, mirror: NDArray[np.int64]) -> Points:
    """A row of weights (sum 1, symmetric) on the 400 nearest vertices that gives a bone's head over the samples. [V]"""
    near = np.argsort(np.linalg.norm(template - joints.mean(0), axis=1))[:400]
    near = np.unique(np.concatenate([near, mirror[near]]))
    a = samples[:, near].transpose(0, 2, 1).reshape(-1, len(near))
    b = joints.reshape(-1)
    even = np.full(len(near), 1 / len(near))
    inverse = np.linalg.inv(a.T @ a / len(a) + 1e-4 * np.eye(len(near)))
    step = inverse @ (a.T @ (b - a @ even) / len(a))
    one = np.ones(len(near))
    step -= inverse @ one * (one @ step) / (one @ inverse @ one)
    row = np.zeros(len(template))
    row[near] = even + step
    return (row + row[mirror]) / 2


def rotation(axis: int, angle_rad: float) -> Points:
    """Rotation by an angle about x (0) or y (1). [3, 3]"""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    if axis == 0:
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def best_angle(points: Points, offsets: Points, centre: Points, axis: int) -> float:
    """The rotation about `centre` that explains the offsets of the lower teeth best, radians."""
    errors = [(((points - centre) @ rotation(axis, a).T + centre - points - offsets) ** 2).sum() for a in ANGLES_RAD]
    return float(ANGLES_RAD[int(np.argmin(errors))])


def jaw_turn(weights: Points, axis: int, angle_rad: float) -> Points:
    """The blended rotation of every vertex when the jaw turns, [V, 3, 3]."""
    return np.eye(3) + weights[:, JAW, None, None] * (rotation(axis, angle_rad) - np.eye(3))


def corrective(template: Points, weights: Points, joints: Points, target: Points, axis: int, angle: float) -> Points:
    """What must be added before skinning, per unit sine, so that the turned jaw gives the artist's shape. [V, 3]"""
    turn = jaw_turn(weights, axis, angle)
    skinned = (turn @ (template - joints[JAW])[..., None])[..., 0] + joints[JAW]
    missing = template + target - skinned
    return (np.linalg.inv(turn) @ missing[..., None])[..., 0] / np.sin(angle)


def build_skeleton(
    template: Points,
    samples: Samples,
    weights: Points,
    parts: dict[str, NDArray[np.int64]],
    neck_ring: NDArray[np.int64],
    mirror: NDArray[np.int64],
    shapes: dict[str, Points],
) -> Skeleton:
    """Joints, regressor and jaw correctives. shapes: ARKit name -> offsets [V, 3]."""
    n = len(template)
    regressor = np.zeros((5, n))
    regressor[ROOT, neck_ring] = 1 / len(neck_ring)
    regressor[NECK] = regress(samples.vertices, template, samples.joints["neck02"], mirror)
    regressor[JAW] = regress(samples.vertices, template, samples.joints["jaw"], mirror)
    for joint, part in ((LEFT_EYE, PARTS[0]), (RIGHT_EYE, PARTS[1])):
        regressor[joint, parts[part]] = 1 / len(parts[part])
    joints = regressor @ template
    for joint, bone in ((NECK, "neck02"), (JAW, "jaw")):
        error = np.linalg.norm(
            np.einsum("nvc,v->nc", samples.vertices, regressor[joint]) - samples.joints[bone], axis=1
        )
        print(f"  joint {bone}: regressed to {error.mean() * 1e3:.2f} mm on average")
    teeth = parts[PARTS[4]]
    opening = best_angle(template[teeth], shapes["jawOpen"][teeth], joints[JAW], 0)
    side = best_angle(template[teeth], shapes["jawLeft"][teeth], joints[JAW], 1)
    left = corrective(template, weights, joints, shapes["jawLeft"], 1, side)
    right = corrective(template, weights, joints, shapes["jawRight"], 1, -side)
    correctives = np.stack(
        [
            symmetric(corrective(template, weights, joints, shapes["jawOpen"], 0, opening), mirror),
            # A turn to the left is the mirror image of a turn to the right: odd in the sine, hence antisymmetric.
            ((left + right) / 2 - ((left + right) / 2)[mirror] * FLIP) / 2,
        ]
    )
    return Skeleton(weights, regressor, joints, correctives, opening, side)
