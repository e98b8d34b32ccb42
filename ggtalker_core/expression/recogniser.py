"""Sound -> phones by a small classifier on the speech features: the deterministic way to a mouth, and a baseline.

Phones are told apart as far as the lips do (the groups of phones.py). Its answers run through the co-articulation rules
(coarticulation.py), so every mouth shape can be traced to a phone that was heard.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import IncompatibleFileError
from ..speech.weights import ASSETS, read_weights
from .phones import GROUP_NAMES, NEAR_SHAPES, Span

RECOGNISER_FILE = ASSETS / "speech_phones.safetensors"
RECOGNISER_FORMAT = "ggtalker.phone-recogniser"
RECOGNISER_SHA256 = "f53b590c7087bf81ab29682b3bc4c322de8795fdd115aebfa92732bea210ef8a"
RATE = 50  # classes per second: two per feature frame
LIPS = GROUP_NAMES.index("pbm")
NEAR = [GROUP_NAMES.index(name) for name in NEAR_SHAPES]
SWITCH_COST = 4.0  # of going from one phone to another, in log probability


class PhoneRecogniser(nn.Module):
    """Features [T, F] at 25 per second -> class scores [2 T, groups]."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, feature_width: int = 1024, width: int = 96):
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(feature_width))
        self.register_buffer("feature_std", torch.ones(feature_width))
        self.norm = nn.LayerNorm(feature_width)
        self.enter = nn.Linear(feature_width, width)
        self.convolutions = nn.ModuleList([nn.Conv1d(width, width, 5, padding=2 * k, dilation=k) for k in (1, 2)])
        self.drop = nn.Dropout(0.3)
        self.leave = nn.Linear(width, 2 * len(GROUP_NAMES))

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] -> [B, 2 T, groups]."""
        h = self.enter(self.drop(self.norm((features - self.feature_mean) / self.feature_std))).transpose(1, 2)
        for convolution in self.convolutions:
            h = h + functional.gelu(self.drop(convolution(h)))
        scores = self.leave(h.transpose(1, 2))
        return scores.view(len(scores), -1, len(GROUP_NAMES))


def best_path(scores: Tensor, switch_cost: float = SWITCH_COST) -> list[int]:
    """The likeliest sequence of classes when every change costs; scores [N, K] log probabilities (Viterbi)."""
    total, came = scores[0].clone(), torch.zeros(scores.shape, dtype=torch.long)
    stay = torch.arange(scores.shape[1])
    for i in range(1, len(scores)):
        best = total.argmax()
        change = total[best] - switch_cost
        came[i] = torch.where(total >= change, stay, best)
        total = torch.maximum(total, change) + scores[i]
    path = [int(total.argmax())]
    for i in range(len(scores) - 1, 0, -1):
        path.append(int(came[i, path[-1]]))
    return path[::-1]


@torch.no_grad()
def recognise(features: Tensor, recogniser: PhoneRecogniser | None = None) -> list[Span]:
    """Phones (start s, end s, IPA of the group's first member, "" = silence) in features [T, F] at 25 per second."""
    recogniser = recogniser or load_recogniser()
    path = best_path(recogniser(features[None])[0].log_softmax(-1))
    spans: list[Span] = []
    start = 0
    for i in range(1, len(path) + 1):
        if i == len(path) or path[i] != path[start]:
            spans.append((start / RATE, i / RATE, GROUP_NAMES[path[start]][:1]))
            start = i
    return spans


@torch.no_grad()
def lips_meet(features: Tensor, recogniser: PhoneRecogniser | None = None) -> Tensor:
    """How sure it is that a /p b m/ is heard: log odds [T] of features [T, F] at 25 per second."""
    recogniser = recogniser or load_recogniser()
    heard = recogniser(features[None])[0].log_softmax(-1)[:, LIPS].view(-1, 2).amax(1)
    return torch.logit(heard.exp(), eps=1e-4)


@torch.no_grad()
def lips_near(features: Tensor, recogniser: PhoneRecogniser | None = None) -> Tensor:
    """Chance [T, 2] of an /f v/ and of a /w/ in features [T, F] at 25 per second; half of it in the frames beside."""
    recogniser = recogniser or load_recogniser()
    heard = recogniser(features[None])[0].softmax(-1)[:, NEAR]
    chance = heard.view(-1, 2, len(NEAR)).amax(1)
    beside = torch.maximum(torch.cat([chance[1:], chance[-1:]]), torch.cat([chance[:1], chance[:-1]]))
    return torch.maximum(chance, 0.5 * beside)


@lru_cache(maxsize=1)
def load_recogniser(path: Path = RECOGNISER_FILE, sha256: str | None = RECOGNISER_SHA256) -> PhoneRecogniser:
    """The bundled recogniser. Raises MissingWeightsError, IncompatibleFileError."""
    state, metadata = read_weights(path, RECOGNISER_FORMAT, sha256)
    if tuple(json.loads(metadata.get("groups", "[]"))) != GROUP_NAMES:
        raise IncompatibleFileError(f"{path} tells other phone groups apart than this pack; reinstall the pack.")
    recogniser = PhoneRecogniser(state["feature_mean"].shape[0], state["enter.weight"].shape[0])
    recogniser.load_state_dict(state)
    return recogniser.eval().requires_grad_(False)
