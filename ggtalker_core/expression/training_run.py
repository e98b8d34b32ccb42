"""A whole training run of an audio prior from one settings file: both networks, resumable, logged, with a model card.

Settings (JSON): {"corpus": [FOLDER, ...], "weights": [1.0, ...], "run": FOLDER, "out": PRIOR.safetensors,
"prior": "paper" | "bundled" | "tiny" | {PriorConfig fields}, "regression": {TrainConfig fields}, "denoiser": {...},
"device": "auto", "shards_at_once": null, "stretch": 2000, "data": "in words, for the model card", "feature_id": null}
Paths are relative to the settings file. With `shards_at_once` only so many shards of each folder are in memory, another
random choice every `stretch` steps and in every process: a corpus may be larger than memory.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ..errors import InvalidInputError
from ..progress import Progress, silent
from ..speech.weights import BUNDLED_FEATURES
from .config import PriorConfig, TrainConfig
from .denoiser import Denoiser
from .losses import Scale
from .prior import ExpressionPrior, save_prior
from .regression import RegressionTrunk
from .trainer import Fleet, Trained, train_denoiser, train_regression
from .training_data import TrainingSet

_PRESETS: dict[str, Callable[[], PriorConfig]] = {
    "paper": PriorConfig, "bundled": PriorConfig.bundled, "tiny": PriorConfig.tiny,
}  # fmt: skip
_MPI = {
    "RANK": ("OMPI_COMM_WORLD_RANK", "PMI_RANK"), "WORLD_SIZE": ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"),
    "LOCAL_RANK": ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"),
}  # fmt: skip


@dataclass(frozen=True)
class RunSettings:
    """What the settings file says."""

    corpus: tuple[Path, ...]
    run: Path
    out: Path
    weights: tuple[float, ...] = ()
    prior: PriorConfig = field(default_factory=PriorConfig)
    regression: TrainConfig = field(default_factory=TrainConfig)
    denoiser: TrainConfig = field(default_factory=lambda: TrainConfig(steps=20000, peak_rate=1e-3))
    device: str = "auto"
    shards_at_once: int | None = None
    stretch: int = 2000
    data: str = "not stated"
    feature_id: str = BUNDLED_FEATURES


def read_settings(path: Path) -> RunSettings:
    """The settings of a run. Raises InvalidInputError that names the field."""
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} cannot be read as JSON settings of a run: {error}") from error
    known = {f.name for f in dataclasses.fields(RunSettings)}
    missing, strange = {"corpus", "run", "out"} - set(given), set(given) - known
    if missing or strange:
        raise InvalidInputError(
            f"{path}: missing {sorted(missing)}, unknown {sorted(strange)}; known: {sorted(known)}."
        )
    base = path.resolve().parent
    folders = given["corpus"] if isinstance(given["corpus"], list) else [given["corpus"]]
    values: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    values["corpus"] = tuple(base / str(f) for f in cast("list[Any]", folders))
    values["run"], values["out"] = base / str(given["run"]), base / str(given["out"])
    values["weights"] = tuple(given.get("weights") or ())
    wanted = given.get("prior", "paper")
    if isinstance(wanted, str):
        if wanted not in _PRESETS:
            raise InvalidInputError(f"{path}: prior must be one of {sorted(_PRESETS)} or fields, got {wanted!r}.")
        values["prior"] = _PRESETS[wanted]()
    else:
        values["prior"] = _config(PriorConfig, wanted, "prior", path)
    for name in ("regression", "denoiser"):
        if name in given:
            values[name] = _config(TrainConfig, given[name], name, path)
    return RunSettings(**values)


def _config(kind: type[Any], given: Mapping[str, Any], name: str, path: Path) -> Any:
    try:
        return kind(**given)
    except TypeError as error:
        raise InvalidInputError(f"{path}: {name}: {error}.") from error


def train_audio_prior(settings: RunSettings, *, progress: Progress = silent) -> Path:
    """Train both networks, or go on where a stopped run was, and write the prior and its model card.

    Returns the path of the prior. Under `accelerate launch` (or torchrun) every process calls this. Raises
    InvalidInputError for settings that do not fit the corpus.
    """
    device = _join_fleet(settings.device)
    settings.run.mkdir(parents=True, exist_ok=True)
    log, began = RunLog(settings.run), time.monotonic()
    scale, sample = _scale(settings)
    if sample.features.shape[2] != settings.prior.feature_width:
        raise InvalidInputError(
            f"The corpus holds {sample.features.shape[2]} features per frame, the settings say "
            f"feature_width {settings.prior.feature_width}."
        )
    parts = {"regression": _as_launched(settings.regression), "denoiser": _as_launched(settings.denoiser)}
    trunk, first = _stretches(settings, "regression", parts["regression"], scale, device, None, log, progress)
    denoiser, second = _stretches(settings, "denoiser", parts["denoiser"], scale, device, trunk, log, progress)
    fleet = Fleet()
    if fleet.rank == 0:
        trained: dict[str, str | float | int] = {
            "data": settings.data, "regression_steps": first.steps, "denoiser_steps": second.steps,
            "processes": fleet.size, "device": device.split(":")[0],
            "precision": parts["denoiser"].precision, "shards_at_once": str(settings.shards_at_once or "all"),
            "cpu_seconds_of_last_call": round(first.cpu_seconds + second.cpu_seconds),
        }  # fmt: skip
        assert isinstance(denoiser, Denoiser)
        prior = ExpressionPrior(
            settings.prior,
            scale,
            cast("RegressionTrunk", trunk).cpu(),
            denoiser.cpu(),
            {"feature_id": settings.feature_id},
        )
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        save_prior(prior, settings.out, trained)
        _write_card(settings, sample, trained, log, time.monotonic() - began)
    log.close()
    fleet.leave()
    return settings.out


def _stretches(
    settings: RunSettings, part: str, config: TrainConfig, scale: Scale, device: str, trunk: Any, log: RunLog,
    progress: Progress,
) -> tuple[RegressionTrunk | Denoiser, Trained]:  # fmt: skip
    """One network, in stretches when the corpus does not fit into memory."""
    checkpoint, rank = settings.run / f"{part}.checkpoint.safetensors", Fleet().rank
    stretch = settings.stretch if settings.shards_at_once else config.steps
    done = log.steps(part)
    while True:
        order = np.random.default_rng((config.seed, done // stretch, rank)) if settings.shards_at_once else None
        data = TrainingSet.load(settings.corpus, settings.shards_at_once, settings.weights, order)
        options: dict[str, Any] = {
            "device": device, "scale": scale, "checkpoint": checkpoint, "progress": progress,
            "stop_at": (done // stretch + 1) * stretch, "note": lambda s, loss, rate: log.note(part, s, loss, rate),
        }  # fmt: skip
        if trunk is None:
            network, trained = train_regression(data, settings.prior, config, **options)
        else:
            network, trained = train_denoiser(data, trunk, settings.prior, config, **options)
        done = trained.steps
        if done >= config.steps:
            return network, trained


def _join_fleet(device: str) -> str:
    """Meet the other processes when a launcher started several; the device of this one.

    torchrun and `accelerate launch --multi_gpu` say who is who in RANK, WORLD_SIZE and LOCAL_RANK, mpirun (as under
    `accelerate launch --cpu --mpirun_hostfile`) in variables of its own. Raises InvalidInputError where accelerate was
    asked for several processes on CPUs but, without mpirun, started only this one.
    """
    import torch.distributed as dist

    environment = os.environ
    for name, theirs in _MPI.items():
        value = next((environment[v] for v in theirs if v in environment), None)
        if value is not None:
            environment.setdefault(name, value)
    size = int(environment.get("WORLD_SIZE", "1"))
    if size == 1 and "MASTER_ADDR" in environment and environment.get("ACCELERATE_USE_CPU") == "True":
        raise InvalidInputError(
            "accelerate started one process although it was asked for several: `accelerate launch --cpu` needs "
            "--mpirun_hostfile for more. Use `accelerate launch --multi_gpu --num_processes N` (it works on CPUs, too) "
            "or `torchrun --nproc_per_node N`."
        )
    if device == "auto":
        device = f"cuda:{environment.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # or NCCL's barrier would take the first one in every process
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return device


def _as_launched(config: TrainConfig) -> TrainConfig:
    """The settings of a network with the precision of `accelerate launch --mixed_precision`, unless they name one."""
    asked = {"bf16": "bfloat16", "fp16": "float16"}.get(os.environ.get("ACCELERATE_MIXED_PRECISION", "no"))
    plain = config.precision == TrainConfig().precision
    return dataclasses.replace(config, precision=asked) if asked and plain else config


def _scale(settings: RunSettings) -> tuple[Scale, TrainingSet]:
    """z-scoring, the same in every stretch, process and resumed run; and the first shards."""
    sample = TrainingSet.load(settings.corpus, settings.shards_at_once, settings.weights)
    return sample.scale(), sample


class RunLog:
    """log.jsonl in the run folder, and TensorBoard events where that package is installed."""

    def __init__(self, folder: Path):
        self._path, self._board = folder / "log.jsonl", None
        if Fleet().rank == 0:
            try:
                from torch.utils.tensorboard import SummaryWriter  # pyright: ignore[reportMissingImports]

                self._board = SummaryWriter(str(folder / "tensorboard"))
            except ImportError:  # optional
                pass

    def note(self, part: str, step: int, loss: float, rate: float) -> None:
        """One step; every tenth is written."""
        if step % 10 and step > 10:
            return
        with self._path.open("a", encoding="utf8") as file:
            file.write(json.dumps({"part": part, "step": step, "loss": round(loss, 5), "rate": rate}) + "\n")
        if self._board is not None:
            self._board.add_scalar(f"{part}/loss", loss, step)
            self._board.add_scalar(f"{part}/rate", rate, step)

    def rows(self) -> list[dict[str, Any]]:
        """All rows so far."""
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []

    def steps(self, part: str) -> int:
        """The last step of a part that was written."""
        return max((int(r["step"]) for r in self.rows() if r["part"] == part), default=0)

    def close(self) -> None:
        """End the events file."""
        if self._board is not None:
            self._board.close()


def _write_card(
    settings: RunSettings, sample: TrainingSet, trained: Mapping[str, Any], log: RunLog, seconds: float
) -> None:
    """OUT.md: what the prior was made from, how, and how the losses fell."""
    lines = [
        f"# {settings.out.name}", "", "An audio-to-expression prior, written by `python -m ggtalker_core.cli train "
        "audio-prior`.", "", "| what | value |", "|---|---|",
        f"| data | {settings.data} |",
        f"| sound | {float(sample.frames.sum()) / settings.prior.fps / 3600:.2f} h in memory at once |",
        f"| corpus folders, weights | {len(settings.corpus)}, {list(settings.weights) or 'alike'} |",
        f"| speech features | {settings.feature_id} |", f"| networks | {dataclasses.asdict(settings.prior)} |",
        *(f"| {key} | {value} |" for key, value in trained.items() if key != "data"),
        f"| wall time of the last call | {seconds:.0f} s |",
    ]  # fmt: skip
    for part in ("regression", "denoiser"):
        rows = [r for r in log.rows() if r["part"] == part]
        chosen = rows[:: max(1, len(rows) // 8)] + rows[-1:]
        lines += ["", f"## Loss of the {part}", "", "| step | loss |", "|---|---|"]
        lines += [f"| {r['step']} | {r['loss']:.4f} |" for r in chosen]
    lines += ["", "Not measured here: closures on real speech; see benchmarks/speech.py.", ""]
    settings.out.with_suffix(".md").write_text("\n".join(lines), encoding="utf8")
