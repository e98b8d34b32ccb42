"""Training of the two networks of the audio prior, resumable, on CPU or GPU.

First the regression trunk with its closure head, then, with the trunk frozen, the denoiser. Both keep an exponential
moving average of their weights, which is what is validated and shipped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InvalidInputError
from ..progress import Progress, silent
from .config import PriorConfig, TrainConfig
from .denoiser import Denoiser, Sound
from .losses import Scale, closure_loss, motion_loss
from .regression import RegressionTrunk
from .sampler import add_noise, cosine_schedule
from .training_data import Batch, TrainingSet

LossOf = Callable[[Batch, np.random.Generator], Tensor]
Validate = Callable[[dict[str, Tensor], int], None]  # averaged weights, step


@dataclass
class Trained:
    """The outcome of one run."""

    weights: dict[str, Tensor]  # the averaged ones
    steps: int
    cpu_seconds: float
    losses: list[float]


class Averaged:
    """Exponential moving average of a network's weights, warmed up over the first steps."""

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the present weights."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            self.weights[name].lerp_(value, 1 - keep)


class Fleet:
    """The processes that train together, as `accelerate launch` or torchrun started them; alone: one."""

    def __init__(self) -> None:
        import torch.distributed as dist

        self._dist = dist if dist.is_available() and dist.is_initialized() else None
        self.rank = self._dist.get_rank() if self._dist else 0
        self.size = self._dist.get_world_size() if self._dist else 1

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Mean of every gradient over the processes; one call for all of them."""
        if self._dist is None or self.size == 1:
            return
        there = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([g.reshape(-1) for g in there])
        self._dist.all_reduce(flat)
        for p, part in zip(parameters, flat.split([g.numel() for g in there])):
            p.grad = part.view_as(p) / self.size

    def agree_on(self, step: int) -> None:
        """Raise InvalidInputError when the processes go on from different checkpoints, as without a common folder."""
        if self._dist is None or self.size == 1:
            return
        mine = torch.tensor([step, -step], device="cuda" if self._dist.get_backend() == "nccl" else "cpu")
        self._dist.all_reduce(mine, self._dist.ReduceOp.MAX)
        least, most = -int(mine[1]), int(mine[0])
        if least != most:
            raise InvalidInputError(
                f"The processes found checkpoints of steps {least} to {most}: "
                "`run` must be a folder that all machines see."
            )

    def wait(self) -> None:
        """Until all processes are here."""
        if self._dist is not None and self.size > 1:
            self._dist.barrier()

    def leave(self) -> None:
        """The run is over: part when all are here."""
        self.wait()
        if self._dist is not None:
            self._dist.destroy_process_group()


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    fall = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.peak_rate * min(1.0, (step + 1) / config.warmup) * max(0.02, fall)


def _save(path: Path, network: nn.Module, average: Averaged, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Everything that is needed to go on, as safetensors."""
    from safetensors.torch import save_file

    tensors = {f"now.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.weights.items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
    part = path.with_suffix(".part")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, {"step": str(step)})
    part.replace(path)


def _resume(path: Path, network: nn.Module, average: Averaged, optimizer: torch.optim.Optimizer) -> int:
    """Load what `_save` wrote; returns the step to go on from."""
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        step = int(file.metadata()["step"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    network.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("now.")})
    for name, value in average.weights.items():
        value.copy_(tensors[f"average.{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return step


def run(
    network: nn.Module,
    loss_of: LossOf,
    draw: Callable[[np.random.Generator], Batch],
    config: TrainConfig,
    *,
    checkpoint: Path | None = None,
    validate: Validate | None = None,
    stop_after_s: float = math.inf,
    stop_at: int | None = None,
    note: Callable[[int, float, float], None] | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train `network` for config.steps; goes on from `checkpoint` when it is there, writes it as it goes.

    `stop_after_s`, `stop_at`: leave (with a checkpoint) after so many seconds of wall time or at this step; call again
    to go on. note: told (step, loss, learning rate) after every step. Under torch.distributed the processes share the
    batch: each draws windows of its own, gradients are averaged, the first one writes the checkpoint.
    """
    torch.set_num_threads(config.threads)
    fleet, end = Fleet(), min(config.steps, stop_at or config.steps)
    device = next(network.parameters()).device.type
    scaler = torch.amp.GradScaler(device, enabled=config.precision == "float16")  # pyright: ignore[reportPrivateImportUsage]
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, config.peak_rate, weight_decay=config.weight_decay)
    average, step, losses = Averaged(network, config.ema), 0, list[float]()
    if checkpoint is not None and checkpoint.exists():
        step = _resume(checkpoint, network, average, optimizer)
    fleet.agree_on(step)
    wall, cpu = time.monotonic(), time.process_time()
    while step < end and time.monotonic() - wall < stop_after_s:
        rng = np.random.default_rng((config.seed, step, fleet.rank))  # a resumed run sees the same windows
        torch.manual_seed(config.seed * 1_000_003 + step + 7_919 * fleet.rank)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        network.train()
        half, batch = config.precision != "float32", draw(rng)
        with torch.autocast(device, dtype=getattr(torch, config.precision) if half else None, enabled=half):
            loss = loss_of(batch, rng)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        fleet.average_gradients(parameters)  # while scaled: an overflow in one process must be seen by all
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        scaler.step(optimizer)
        scaler.update()
        step += 1
        average.update(network, step)
        losses.append(float(loss.detach()))
        if note is not None and fleet.rank == 0:
            note(step, losses[-1], learning_rate(config, step - 1))
        progress(step, config.steps, f"loss {losses[-1]:.4f}")
        if fleet.rank == 0 and (step % config.checkpoint_every == 0 or step == config.steps):
            if checkpoint is not None:
                _save(checkpoint, network, average, optimizer, step)
            if validate is not None:
                validate(average.weights, step)
    if checkpoint is not None and fleet.rank == 0:
        _save(checkpoint, network, average, optimizer, step)
    fleet.wait()
    return Trained(average.weights, step, time.process_time() - cpu, losses)


def train_regression(
    data: TrainingSet,
    prior: PriorConfig,
    config: TrainConfig,
    *,
    device: str = "cpu",
    scale: Scale | None = None,
    **options: object,
) -> tuple[RegressionTrunk, Trained]:
    """Train the trunk with its closure head. scale: default that of `data`. `options` are those of `run`."""
    torch.manual_seed(config.seed)
    trunk, scale = RegressionTrunk(prior), scale or data.scale()
    mean, std = data.feature_statistics()
    trunk.feature_mean.copy_(mean)
    trunk.feature_std.copy_(std)
    trunk.to(device)
    on_device = Scale(scale.mean.to(device), scale.std.to(device))

    def loss_of(batch: Batch, rng: np.random.Generator) -> Tensor:
        features = batch.features.to(device)
        # Noise as large as the features vary within the window, and a random level of it per window.
        size = config.feature_noise * torch.rand(len(features), 1, 1, device=device) * 1.4
        features = features + size * features.std((0, 1), keepdim=True) * torch.randn_like(features)
        heard = trunk(features)
        loss = motion_loss(heard.channels, batch.channels.to(device), on_device, config.loss)
        return loss + config.loss.closure * closure_loss(heard.closure, batch.closure.to(device))

    def draw(rng: np.random.Generator) -> Batch:
        return data.draw(rng, config.batch, prior.window, scale, plain=True)

    trained = run(trunk, loss_of, draw, config, **options)  # type: ignore[arg-type]
    trunk.load_state_dict(trained.weights)
    return trunk.eval().requires_grad_(False), trained


def train_denoiser(
    data: TrainingSet, trunk: RegressionTrunk, prior: PriorConfig, config: TrainConfig, *, device: str = "cpu",
    scale: Scale | None = None, **options: object,
) -> tuple[Denoiser, Trained]:  # fmt: skip
    """Train the denoiser on a frozen trunk. scale: default that of `data`. `options` are those of `run`."""
    torch.manual_seed(config.seed)
    denoiser, scale = Denoiser(prior).to(device), scale or data.scale()
    on_device = Scale(scale.mean.to(device), scale.std.to(device))
    schedule = cosine_schedule(prior.noise_steps).to(device)
    trunk = trunk.to(device).eval().requires_grad_(False)
    conditions = precompute(trunk, data, device)
    length = prior.previous + prior.window

    def loss_of(batch: Batch, rng: np.random.Generator) -> Tensor:
        true, manner = batch.channels.to(device), batch.manner.to(device)
        style, extra = _style(denoiser, batch.style.to(device), manner, config)
        sound = window_of(conditions, batch.place, length, style)
        step = torch.from_numpy(rng.integers(1, prior.noise_steps + 1, len(true))).to(device)
        known = torch.zeros(len(true), length, device=device)
        known[:, : prior.previous] = 1
        seen = true + config.previous_noise * torch.randn_like(true)
        noisy = add_noise(true, torch.randn_like(true), schedule[step])
        noisy = torch.where(known[..., None] > 0, seen, noisy)
        deaf = torch.rand(len(true), device=device) < config.audio_drop
        clean = denoiser(noisy, known, sound, step, deaf)
        moved = motion_loss(clean[:, prior.previous :], true[:, prior.previous :], on_device, config.loss)
        return moved + config.loss.style * extra

    def draw(rng: np.random.Generator) -> Batch:
        return data.draw(rng, config.batch, length, scale, plain=False, style_frames=prior.style_frames)

    trained = run(denoiser, loss_of, draw, config, **options)  # type: ignore[arg-type]
    denoiser.load_state_dict(trained.weights)
    return denoiser.eval().requires_grad_(False), trained


def _style(denoiser: Denoiser, motion: Tensor, manner: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """The style condition of a batch, and how badly its tokens tell the manner (z-scored squared error)."""
    told = torch.rand(len(manner), 1, device=manner.device) >= config.manner_drop
    if not denoiser.config.style_width:
        return torch.where(told, manner, 0.0), manner.new_zeros(())
    styles = denoiser.styles
    seen, named = styles.of_motion(motion), styles.of_manner(manner)
    extra = sum(functional.mse_loss(4 * styles.manner_of(t), 4 * manner) for t in (seen, named))
    from_motion = torch.rand(len(manner), 1, device=manner.device) < config.motion_style
    return torch.where(told, torch.where(from_motion, seen, named), styles.unknown), torch.as_tensor(extra)


@torch.no_grad()
def precompute(trunk: RegressionTrunk, data: TrainingSet, device: str) -> Sound:
    """What the frozen trunk hears in every chunk, once; [N, T, ...] float16."""
    parts = [trunk(data.features[i : i + 4].float().to(device)) for i in range(0, len(data.features), 4)]
    return Sound(
        torch.cat([p.channels.half() for p in parts]), torch.cat([p.closure.half() for p in parts]),
        torch.cat([p.hidden.half() for p in parts]), torch.zeros(0, device=device),
    )  # fmt: skip


def window_of(sound: Sound, place: Tensor, length: int, style: Tensor) -> Sound:
    """The windows of precomputed conditions that start at `place` [B, 2] (chunk, first frame)."""
    cut = [(int(c), slice(int(a), int(a) + length)) for c, a in place]
    return Sound(  # first float, then stacked: autocast to bfloat16 cannot stack float16
        torch.stack([sound.channels[c, s].float() for c, s in cut]),
        torch.stack([sound.closure[c, s].float() for c, s in cut]),
        torch.stack([sound.hidden[c, s].float() for c, s in cut]), style,
    )  # fmt: skip
