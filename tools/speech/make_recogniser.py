"""Train and export the phone recogniser (ggtalker_core/assets/speech_phones.safetensors) on the corpus of corpus.py.

python tools/speech/make_recogniser.py --corpus FOLDER [FOLDER ...] --weights 1 3 ... --out FILE
The bundled one: corpora of espeak and flite, of Kokoro and festival (weight 3), of many languages, of recorded speech
(weight 3); 2000 steps, the averaged weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import torch
from make_encoder import core
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

core()
from ggtalker_core.expression.coarticulation import joined_phones  # noqa: E402
from ggtalker_core.expression.phones import GROUP_NAMES, GROUP_OF  # noqa: E402
from ggtalker_core.expression.recogniser import RATE, RECOGNISER_FORMAT, PhoneRecogniser  # noqa: E402
from ggtalker_core.speech.weights import quantise  # noqa: E402

FRAMES = 100
KEEP = 0.998  # of the moving average of the weights
MORE = {"pbm": 1.5, "fvɱ": 2.0}  # groups whose mistakes count more


def load(folders: list[Path], weights: list[float], shards: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Features [N, T, F], classes [N, 2 T] of at most `shards` shards a folder, and how often each chunk is drawn."""
    features: list[Tensor] = []
    classes: list[Tensor] = []
    drawn: list[float] = []
    for path, weight in ((p, w) for f, w in zip(folders, weights) for p in sorted(f.glob("*.safetensors"))[:shards]):
        with safe_open(str(path), "pt") as file:
            features.append(file.get_tensor("features"))
            phones = json.loads(file.metadata()["phones"])
        count = 2 * features[-1].shape[1]
        for chunk in phones:
            row, times = torch.zeros(count, dtype=torch.long), (torch.arange(count) + 0.5) / RATE
            for start, end, key in joined_phones([(a, b, p) for a, b, p in chunk], count / RATE):
                row[(times >= start) & (times < end)] = GROUP_OF[key]
            classes.append(row)
            drawn.append(weight)
    return torch.cat(features), torch.stack(classes), np.array(drawn) / sum(drawn)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=float, nargs="*", default=[], help="one per corpus folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--shards", type=int, default=30, help="of each folder at most")
    args = parser.parse_args()
    torch.set_num_threads(1)
    features, classes, drawn = load(args.corpus, args.weights or [1.0] * len(args.corpus), args.shards)
    torch.manual_seed(0)
    rng, start = np.random.default_rng(0), time.process_time()
    network = PhoneRecogniser(features.shape[2], args.width)
    sample = features[::7].float().reshape(-1, features.shape[2])
    network.feature_mean.copy_(sample.mean(0))
    network.feature_std.copy_(sample.std(0).clamp(min=1e-3))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=args.steps)
    weight = torch.tensor([MORE.get(name, 1.0) for name in GROUP_NAMES])
    average = {k: v.clone() for k, v in network.state_dict().items()}
    for step in range(args.steps):
        n, a = rng.choice(len(features), 16, p=drawn), rng.integers(0, features.shape[1] - FRAMES, 16)
        x = torch.stack([features[i, j : j + FRAMES] for i, j in zip(n, a)]).float()
        y = torch.stack([classes[i, 2 * j : 2 * (j + FRAMES)] for i, j in zip(n, a)])
        x = x + 0.49 * torch.rand(16, 1, 1) * x.std((0, 1)) * torch.randn_like(x)
        scores = network(x).flatten(0, 1)
        loss = functional.cross_entropy(scores, y.flatten(), weight=weight, label_smoothing=0.03)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plan.step()
        keep = min(KEEP, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        if step % 100 == 99:
            print(f"{step + 1}: loss {float(loss.detach()):.3f}, {time.process_time() - start:.0f} cpu-s", flush=True)
    seconds = features.shape[0] * features.shape[1] / 25
    trained = {"data": "synthetic and recorded speech", "hours": round(seconds / 3600, 2), "steps": args.steps}
    metadata = {
        "format": RECOGNISER_FORMAT, "groups": json.dumps(GROUP_NAMES), "trained": json.dumps(trained),
    }  # fmt: skip
    save_file(quantise(average), args.out, metadata)
    print(args.out, args.out.stat().st_size, "bytes, sha256", hashlib.sha256(args.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
