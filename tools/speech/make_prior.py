"""Train and export the bundled audio prior.

python tools/speech/make_prior.py regression --corpus FOLDER --run FOLDER [--steps 3000] [--phones JSON --media FOLDER]
python tools/speech/make_prior.py denoiser   --corpus FOLDER --run FOLDER [--steps 3000] ...
python tools/speech/make_prior.py export     --corpus FOLDER --run FOLDER --out expression_prior.safetensors

--start FILE begins the trunk with that prior's weights and keeps its scale; with it, export writes the mean of that
trunk and the new one (--share of the new) and keeps the prior's denoiser, which was found to work with it as it is.

Each call stops after --minutes and goes on from its checkpoint when called again. With --phones (from label_real.py)
the averaged weights are judged on those clips at every checkpoint, and kept, so that one can be chosen by --pick.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import torch
from label_real import read_16k
from make_encoder import core
from safetensors.torch import load_file, save_file
from torch import Tensor

core()
from ggtalker_core.expression import trainer  # noqa: E402
from ggtalker_core.expression.channels import lip_gap_mm  # noqa: E402
from ggtalker_core.expression.closure import ClosureCount, count_closures  # noqa: E402
from ggtalker_core.expression.config import PriorConfig, SpeakConfig, TrainConfig  # noqa: E402
from ggtalker_core.expression.denoiser import Denoiser  # noqa: E402
from ggtalker_core.expression.prior import ExpressionPrior, load_prior, save_prior  # noqa: E402
from ggtalker_core.expression.regression import RegressionTrunk  # noqa: E402
from ggtalker_core.expression.speaking import mouth_motion  # noqa: E402
from ggtalker_core.expression.trainer import train_denoiser, train_regression  # noqa: E402
from ggtalker_core.expression.training_data import TrainingSet  # noqa: E402
from ggtalker_core.speech.features import SpeechFeatures, encode_speech  # noqa: E402
from ggtalker_core.types import AudioTrack  # noqa: E402

CONFIG = PriorConfig.bundled()


class Judge:
    """Scores priors on real, aligned speech."""

    def __init__(self, phones: Path | None, media: Path | None):
        self.clips: dict[str, tuple[SpeechFeatures, list[tuple[float, float, str]]]] = {}
        if phones is None or media is None:
            return
        for name, entry in json.loads(phones.read_text()).items():
            sound = torch.from_numpy(read_16k(media / name)).float()[None] / 32768
            labels = [(float(t), float(d), str(p)) for t, d, p in entry["phones"]]
            self.clips[name] = (encode_speech(AudioTrack(sound, 16000), 25), labels)

    def __call__(self, prior: ExpressionPrior, title: str) -> None:
        """Print closure recall and precision of every clip together."""
        if not self.clips:
            return
        for closure_at in (2.0, 0.7):
            total = ClosureCount()
            for features, labels in self.clips.values():
                channels = mouth_motion(features, prior, 0, SpeakConfig(closure_at=closure_at))
                total.add(count_closures(lip_gap_mm(channels).clamp(min=0).numpy(), labels))
            print(
                f"{title} closure_at {closure_at}: recall {total.recall:.3f} precision {total.precision:.3f} "
                f"shut in vowels {total.shut_in_vowels:.3f} (n={len(total.hits)})", flush=True
            )  # fmt: skip


def trunk_of(weights: dict[str, Tensor]) -> RegressionTrunk:
    """The trunk with these weights."""
    trunk = RegressionTrunk(CONFIG)
    trunk.load_state_dict(weights)
    return trunk


def picked(run: Path, part: str, step: int | None) -> tuple[dict[str, Tensor], int]:
    """Averaged weights of one validated step (the last one by default)."""
    paths = sorted((run / part).glob("step*.safetensors"))
    if step is not None:
        paths = [p for p in paths if p.stem == f"step{step:06d}"]
    if not paths:
        raise SystemExit(f"no averaged weights of '{part}' in {run}")
    return load_file(paths[-1]), int(paths[-1].stem[4:])


def begin_with(prior: ExpressionPrior) -> None:
    """Let the trainer start from a prior's trunk, with its normalisation of the features."""
    state = prior.trunk.state_dict()

    class Started(RegressionTrunk):
        def __init__(self, config: PriorConfig):
            super().__init__(config)
            self.load_state_dict(state)

    trainer.RegressionTrunk = Started
    TrainingSet.feature_statistics = lambda self, chunks=100: (state["feature_mean"], state["feature_std"])


def train(args: argparse.Namespace) -> None:
    """One stretch of training of one part."""
    folder = args.run / args.part
    folder.mkdir(parents=True, exist_ok=True)
    data, judge = TrainingSet.load(args.corpus, args.shards, args.weights), Judge(args.phones, args.media)
    if args.start is not None:
        begin_with(load_prior(args.start))
    scale = data.scale() if args.start is None else load_prior(args.start).scale
    trunk = None if args.part == "regression" else trunk_of(picked(args.run, "regression", args.pick)[0])

    def validate(weights: dict[str, Tensor], step: int) -> None:
        save_file(weights, folder / f"step{step:06d}.safetensors")
        denoiser = None
        if trunk is not None:
            denoiser = Denoiser(CONFIG)
            denoiser.load_state_dict(weights)
        judge(ExpressionPrior(CONFIG, scale, trunk or trunk_of(weights), denoiser), f"{args.part} {step}")

    config = TrainConfig(steps=args.steps, checkpoint_every=args.every, threads=args.threads)
    options = {"checkpoint": folder / "checkpoint.safetensors", "validate": validate, "stop_after_s": 60 * args.minutes}
    if trunk is None:
        config = dataclasses.replace(config, peak_rate=args.rate)
        _, trained = train_regression(data, CONFIG, config, scale=scale, **options)
    else:
        config = dataclasses.replace(config, peak_rate=1e-3)
        _, trained = train_denoiser(data, trunk, CONFIG, config, **options)
    with (folder / "time.jsonl").open("a") as log:
        log.write(json.dumps({"step": trained.steps, "cpu_seconds": round(trained.cpu_seconds, 1)}) + "\n")
    mean = sum(trained.losses[-50:]) / max(1, len(trained.losses[-50:]))
    print(
        f"{args.part}: step {trained.steps} of {args.steps}, {trained.cpu_seconds:.0f} cpu-s, loss {mean:.4f}",
        flush=True,
    )


def cpu_seconds(run: Path, part: str) -> float:
    """Processor time of all stretches of one part."""
    path = run / part / "time.jsonl"
    return sum(json.loads(line)["cpu_seconds"] for line in path.read_text().splitlines()) if path.exists() else 0.0


def export(args: argparse.Namespace) -> None:
    """Write the asset."""
    import hashlib

    data = TrainingSet.load(args.corpus, args.shards, args.weights)
    weights, step = picked(args.run, "regression", args.pick)
    trained: dict[str, str | float | int] = {
        "data": args.data,
        "hours": round(data.features.shape[0] * 30 / 3600, 2), "regression_steps": step,
        "regression_run_cpu_seconds": round(cpu_seconds(args.run, "regression")),
    }  # fmt: skip
    denoiser, scale = None, data.scale()
    if args.start is not None:
        begun = load_prior(args.start)
        denoiser, scale = begun.denoiser, begun.scale
        weights = {k: torch.lerp(v, weights[k], args.share) for k, v in begun.trunk.state_dict().items()}
        trained |= {"started_from": begun.metadata.get("trained", ""), "share_of_the_new_trunk": args.share}
    elif not args.regression_only:
        state, step = picked(args.run, "denoiser", args.pick_denoiser)
        denoiser = Denoiser(CONFIG)
        denoiser.load_state_dict(state)
        trained |= {"denoiser_steps": step, "denoiser_run_cpu_seconds": round(cpu_seconds(args.run, "denoiser"))}
    save_prior(ExpressionPrior(CONFIG, scale, trunk_of(weights), denoiser), args.out, trained)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(args.out, args.out.stat().st_size, "bytes, sha256", digest, trained)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["regression", "denoiser", "export"])
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=float, nargs="*", default=[], help="one per corpus folder")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--shards", type=int)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--every", type=int, default=250)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--phones", type=Path)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--pick", type=int, help="step of the regression")
    parser.add_argument("--pick-denoiser", type=int)
    parser.add_argument("--regression-only", action="store_true")
    parser.add_argument("--start", type=Path, help="a prior to go on from (regression, export)")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate of the regression")
    parser.add_argument("--data", default="synthetic speech (espeak-ng, flite) with rule-based mouth targets")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.part == "export":
        export(args)
    else:
        train(args)


if __name__ == "__main__":
    main()
