"""Random MakeHuman identities and the identity basis: principal components, symmetric and antisymmetric apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from makehuman import JOINT_BONES, MakeHuman
from numpy.typing import NDArray

AGES = ("child", "young", "old")
AGE_ANCHORS = (1 / 3, 2 / 3, 1.0)
SIGMA = 0.2  # of a local slider; 0.3 gave one wild head in four
ASYMMETRY = 0.05  # difference between a left and a right slider


@dataclass(frozen=True)
class Samples:
    """Heads in head axes: the head joint is the origin of each."""

    mean: NDArray[np.float64]  # [V, 3] adult, sexless, of mixed origin
    vertices: NDArray[np.float64]  # [N, V, 3]
    joints: dict[str, NDArray[np.float64]]  # bone -> [N, 3]


def hat(values: NDArray[np.float64], anchors: tuple[float, ...]) -> NDArray[np.float64]:
    """Linear interpolation weights of values [N] between anchors [K] -> [N, K]."""
    return np.stack([np.interp(values, anchors, row) for row in np.eye(len(anchors))], 1)


def macro_weights(
    keys: list[tuple[str, ...]],
    gender: NDArray[np.float64],
    age: NDArray[np.float64],
    muscle: NDArray[np.float64],
    weight: NDArray[np.float64],
    race: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weights [N, keys] of the macro shapes: products of the shares along each axis. race [N, 3], others [N]."""
    thirds = (0.0, 0.5, 1.0)
    share: dict[str, NDArray[np.float64]] = {}
    for names, table in (
        (("male", "female"), hat(gender, (0.0, 1.0))),
        (AGES, hat(age, AGE_ANCHORS)),
        (("minmuscle", "averagemuscle", "maxmuscle"), hat(muscle, thirds)),
        (("minweight", "averageweight", "maxweight"), hat(weight, thirds)),
        (("african", "asian", "caucasian"), race / race.sum(1, keepdims=True)),
    ):
        share |= {name: table[:, i] for i, name in enumerate(names)}
    return np.stack([np.prod([share[part] for part in key], 0) for key in keys], 1)


def draw(data: MakeHuman, count: int, seed: int = 0, sigma: float = SIGMA) -> Samples:
    """`count` random heads and the mean head."""
    rng = np.random.default_rng(seed)
    macros, sliders = data.macros(AGES), data.sliders()
    keys = list(macros)
    shapes = np.stack([macros[k] for k in keys]).reshape(len(keys), -1)
    base = data.reduce(data.mesh.vertices).reshape(-1)

    def middle(n: int) -> NDArray[np.float64]:
        return rng.beta(2, 2, n)

    weights = macro_weights(
        keys, rng.random(count), rng.uniform(0.55, 1.0, count), middle(count), middle(count),
        rng.exponential(1.0, (count, 3)),
    )  # fmt: skip
    heads = base + weights @ shapes
    for name in sliders:
        if name.startswith("r-"):
            continue  # set together with its left twin
        value = np.clip(rng.normal(0, sigma, count), -1, 1)
        ends = [name, "r-" + name[2:]] if name.startswith("l-") else [name]
        for end in ends:
            own = np.clip(value + (rng.normal(0, ASYMMETRY, count) if end != name else 0), -1, 1)
            positive, negative = (s.reshape(-1) for s in sliders[end])
            heads += np.maximum(own, 0)[:, None] * positive + np.maximum(-own, 0)[:, None] * negative
    one = np.full(1, 0.5)
    centre = base + macro_weights(keys, one, np.full(1, 0.7), one, one, np.full((1, 3), 1 / 3)) @ shapes
    heads, centre = heads.reshape(count, -1, 3), centre.reshape(-1, 3)
    v = len(data.keep)
    origin = v + JOINT_BONES.index("head")
    heads, centre = heads - heads[:, origin : origin + 1], centre - centre[origin]
    return Samples(centre[:v], heads[:, :v], {b: heads[:, v + i] for i, b in enumerate(JOINT_BONES)})


def principal(
    vertices: NDArray[np.float64], mirror: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean [V, 3], basis [count, V, 3] in metres per standard deviation, explained share of the variance [count].

    Samples and their mirror images together have a covariance that splits into symmetric and antisymmetric shapes;
    each component is exactly one or the other.
    """
    flip = np.array([-1.0, 1.0, 1.0])
    mean = vertices.mean(0)
    mean = (mean + mean[mirror] * flip) / 2
    delta = vertices - mean
    reflected = delta[:, mirror] * flip
    basis, strength = [], []
    for part in ((delta + reflected) / 2, (delta - reflected) / 2):
        flat = part.reshape(len(part), -1)
        values, vectors = np.linalg.eigh(flat @ flat.T)
        order = np.argsort(values)[::-1][:count]
        scale = np.sqrt(np.maximum(values[order], 0))
        shapes = (vectors[:, order].T @ flat) / np.maximum(scale, 1e-12)[:, None]
        basis.append(shapes)
        strength.append(scale / np.sqrt(len(part)))
    shapes, std = np.concatenate(basis), np.concatenate(strength)
    total = ((delta**2).sum() + 0.0) / len(delta)
    order = np.argsort(std)[::-1][:count]
    shapes = shapes[order] * std[order, None]
    # A fixed sign: the largest coordinate of each component is positive.
    sign = np.sign(shapes[np.arange(count), np.abs(shapes).argmax(1)])
    return mean, (shapes * sign[:, None]).reshape(count, -1, 3), np.cumsum(std[order] ** 2) / total
