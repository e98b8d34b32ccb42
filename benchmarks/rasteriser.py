"""The CPU rasteriser: equality with float64, and speed as ratios inside one run (process CPU time, one thread).

The scene of the timings is head-like: an ellipsoid shell in UV order, Gaussians of 1-2 px flattened along the normal,
a third of the picture covered, the back of the head present.
"""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ggtalker_core.render import available_backends, backend_numba, render
from ggtalker_core.types import Camera, Gaussians

ROOT = Path(__file__).resolve().parent.parent
FIELDS = ("means", "quats", "scales", "opacities", "colors")
Row = dict[str, Any]


def row(value: float | None, unit: str, target: str, ok: bool | None, note: str = "") -> Row:
    entry: Row = {"value": value, "unit": unit, "target": target, "ok": ok if value is not None else None}
    return {**entry, "note": note} if note else entry


def at_least(value: float, target: float, unit: str = "x", note: str = "") -> Row:
    return row(value, unit, f">= {target:g}", value >= target, note)


def at_most(value: float, target: float, unit: str, note: str = "") -> Row:
    return row(value, unit, f"<= {target:g}", value <= target, note)


def head(count: int, size: int, seed: int = 0) -> tuple[Gaussians, Camera]:
    """A head-like shell of `count` (a square number) Gaussians in UV order, before a square picture."""
    g = torch.Generator().manual_seed(seed)
    side = math.isqrt(count)
    v, u = torch.meshgrid(*[(torch.arange(side) + 0.5) / side] * 2, indexing="ij")
    around, up = (u * 2 * math.pi).flatten(), (1 - 2 * v).flatten()
    ring = (1 - up * up).clamp(min=0).sqrt()
    normal = torch.stack([ring * around.cos(), up, ring * around.sin()], -1)
    radii = torch.tensor([0.75, 1.0, 0.85])
    focal = 0.375 * size * 6
    scales = torch.empty(count, 3).uniform_(1.0, 2.0, generator=g) * 6 / focal
    scales[:, 2] *= 0.2
    axis = torch.nn.functional.normalize(normal / radii, dim=-1)
    turn = torch.cross(torch.tensor([0.0, 0.0, 1.0]).expand_as(axis), axis, dim=-1)
    quats = torch.cat([(1 + axis[:, 2:]).clamp(min=1e-4), turn], -1)
    opacities = torch.empty(count).uniform_(0.3, 0.95, generator=g)
    means = normal * radii + torch.randn(count, 3, generator=g) * 0.004
    parts = (means, quats, scales, opacities, torch.rand(count, 3, generator=g))
    view = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    view[2, 3] = 6.0
    k = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    return Gaussians(*(p[None] for p in parts)), Camera(view[None], k[None], size, size)


def fastest(job: Callable[[], object], runs: int, clock: Callable[[], float] = time.process_time) -> float:
    """The least time of several runs [s]."""
    times: list[float] = []
    for _ in range(runs):
        start = clock()
        job()
        times.append(clock() - start)
    return min(times)


def leaves(gaussians: Gaussians) -> Gaussians:
    return Gaussians(*(getattr(gaussians, n).clone().requires_grad_() for n in FIELDS))


def test_scenes() -> list[Any]:
    """The scenes of the equality tests."""
    spec = importlib.util.spec_from_file_location("ggtalker_bench_scenes", ROOT / "tests" / "render" / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.SCENES


def equality() -> dict[str, Row]:
    """Largest errors of the numba backend over all test scenes, classic and antialiased."""
    picture, gradient = 0.0, 0.0
    scenes = test_scenes()
    for scene in scenes:
        for antialiased in (False, True):
            results: list[list[Tensor]] = []
            for backend in ("numba", "reference"):
                g = leaves(scene.gaussians)
                out = render(g, scene.camera, scene.background, backend=backend, antialiased=antialiased)
                v_rgb, v_alpha = scene.weights()
                ((out.rgb * v_rgb).sum() + (out.alpha * v_alpha).sum()).backward()
                results.append([out.rgb.detach(), out.alpha.detach(), *(getattr(g, n).grad for n in FIELDS)])
            ours, want = results
            picture = max(picture, *(float((a - b).abs().max()) for a, b in zip(ours[:2], want[:2])))
            errors = [float((a - b).norm() / b.norm().clamp(min=1e-6)) for a, b in zip(ours[2:], want[2:])]
            gradient = max(gradient, *errors)
    note = f"{len(scenes)} scenes, both modes"
    return {
        "image and alpha against float64, largest error": at_most(picture, 5e-6, "", note),
        "gradients against float64, largest relative L2": at_most(gradient, 1e-5, "", note),
    }


def projection() -> dict[str, Row]:
    """Our projection against gsplat's own torch projection: equality and time, 262,144 Gaussians."""
    names = ("projection against gsplat: means", "projection against gsplat: conics, relative")
    speed = "projection, 262,144: times faster than gsplat's torch projection"
    try:
        from gsplat.cuda import _torch_impl as theirs
    except Exception as error:
        missing = row(None, "", "", None, f"gsplat cannot be imported ({type(error).__name__})")
        return dict.fromkeys((*names, speed), missing)
    from ggtalker_core.render.cpu import projection as ours

    g, camera = head(262_144, 512)
    tensors = [getattr(g, n)[0] for n in FIELDS]
    arrays, n = [t.numpy() for t in tensors], len(tensors[0])
    numbers = backend_numba._compiled().camera_numbers(
        camera.viewmat[0].numpy(), camera.intrinsics_px[0].numpy(), (512, 512), (0.01, 1e10), 0.3, False
    )
    records, rects = np.empty(n * 16, np.float32), np.empty((n, 4), np.int16)
    counts, depths = np.empty(n, np.int32), np.empty(n, np.float32)

    def run_theirs() -> Any:
        covariance, _ = theirs._quat_scale_to_covar_preci(tensors[1], tensors[2], True, False, triu=False)
        return theirs._fully_fused_projection(tensors[0], covariance, camera.viewmat, camera.intrinsics_px, 512, 512)

    def run_ours() -> None:
        ours.project(*arrays, numbers, 0, n, records, rects, counts, depths)

    slow, quick = fastest(run_theirs, 5), fastest(run_ours, 12)
    _, means_px, _, conics, _ = run_theirs()
    seen = torch.from_numpy(counts > 0)
    table = torch.from_numpy(records.reshape(n, 16))
    double = 2 * math.log(2.0)
    a, lean, c = table[:, ours.A] * double, table[:, ours.LEAN_X], table[:, ours.C] * double
    got = torch.stack([a, -a * lean, a * lean * lean + c], -1)
    conic = ((got - conics[0]).abs() / conics[0].abs().clamp(min=1e-2))[seen].max()
    return {
        names[0]: at_most(float((table[:, :2] - means_px[0]).abs()[seen].max()), 1e-3, "px"),
        names[1]: at_most(float(conic), 1e-3, ""),
        speed: at_least(slow / quick, 8, note=f"{slow * 1e3:.1f} against {quick * 1e3:.2f} ms"),
    }


def against_torch() -> dict[str, Row]:
    """Times of the numba backend, and against our plain torch backend."""
    big, camera = head(262_144, 512)
    with torch.no_grad():
        quick = fastest(lambda: render(big, camera, backend="numba"), 12)
        slow = fastest(lambda: render(big, camera, backend="torch"), 2)
    graph = leaves(big)
    forward, backward = _forward_backward(graph, camera, "numba", 10)
    small, small_camera = head(65_536, 256)
    ours = sum(_forward_backward(leaves(small), small_camera, "numba", 10))
    plain = sum(_forward_backward(leaves(small), small_camera, "torch", 2))
    x, y = -5 * np.random.default_rng(0).random(12_800_000, np.float32), np.empty(12_800_000, np.float32)
    exps = fastest(lambda: np.exp(x, out=y), 6)
    return {
        "forward 262,144 at 512x512: times faster than plain torch": at_least(
            slow / quick, 40, note=f"{slow:.2f} s against {quick * 1e3:.1f} ms"
        ),
        "forward + backward 65,536 at 256x256: times faster than plain torch": at_least(
            plain / ours, 50, note=f"{plain:.2f} s against {ours * 1e3:.1f} ms"
        ),
        "backward over forward, 262,144": at_most(
            backward / forward, 1.7, "x", f"{backward * 1e3:.1f} over {forward * 1e3:.1f} ms"
        ),
        "forward 262,144 over np.exp of 12.8 million": at_most(
            quick / exps, 20, "x", "an anchor that depends little on the machine"
        ),
    }


def _forward_backward(gaussians: Gaussians, camera: Camera, backend: str, runs: int) -> tuple[float, float]:
    """Least CPU times of the forward and of the backward pass [s]."""
    there: list[float] = []
    back: list[float] = []
    for _ in range(runs):
        start = time.process_time()
        out = render(gaussians, camera, backend=backend)
        middle = time.process_time()
        out.rgb.sum().backward()
        there.append(middle - start)
        back.append(time.process_time() - middle)
    return min(there), min(back)


def threads() -> dict[str, Row]:
    """Wall time of one thread over two, forward + backward; only on an idle machine."""
    name = "two threads over one, wall, forward + backward 262,144"
    if (os.cpu_count() or 1) < 2:
        return {name: row(None, "x", ">= 1.6", None, "one core only")}
    g, camera = head(262_144, 512)
    graph = leaves(g)
    times: dict[str, float] = {"1": math.inf, "2": math.inf}
    before = os.environ.get("GGTALKER_RASTER_THREADS")
    for _ in range(30):
        for count in times:
            os.environ["GGTALKER_RASTER_THREADS"] = count
            for name_of in FIELDS:  # as a training step does; adding up gradients is not the rasteriser's work
                getattr(graph, name_of).grad = None
            job = lambda: render(graph, camera, backend="numba").rgb.sum().backward()  # noqa: E731
            times[count] = min(times[count], fastest(job, 1, time.perf_counter))
    os.environ["GGTALKER_RASTER_THREADS"] = before or "1"
    gain, load = times["1"] / times["2"], os.getloadavg()[0]
    note = f"{times['1'] * 1e3:.1f} against {times['2'] * 1e3:.1f} ms"
    if gain < 1.6 and load > 1.3:
        return {
            name: row(None, "x", ">= 1.6", None, f"the machine is busy (load {load:.1f}); seen: {gain:.2f} ({note})")
        }
    return {name: at_least(gain, 1.6, note=note)}


_MEMORY = """
import importlib.util, pathlib, sys
sys.path.insert(0, {root!r})
spec = importlib.util.spec_from_file_location("bench", {here!r}); bench = importlib.util.module_from_spec(spec)
sys.modules["bench"] = bench; spec.loader.exec_module(bench)
bench.torch.set_num_threads(1)
g, camera = bench.head(1024, 64); bench.render(bench.leaves(g), camera, backend="numba").rgb.sum().backward()
g, camera = bench.head(262_144, 512); g = bench.leaves(g)
def field(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))
pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = field("VmRSS")
bench.render(g, camera, backend="numba").rgb.sum().backward()
print((field("VmHWM") - before) / 1024)
"""

_FIRST = """
import sys, time
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
start = time.process_time()
from ggtalker_core.render import render
from ggtalker_core.types import Camera, Gaussians
n = torch.rand(1, 64, 3, requires_grad=True)
g = Gaussians(n + torch.tensor([0., 0., 2.]), torch.rand(1, 64, 4), n * 0.1, torch.rand(1, 64), n)
camera = Camera(torch.eye(4)[None], torch.diag(torch.tensor([50., 50., 1.]))[None], 64, 64)
render(g, camera, backend="numba").rgb.sum().backward()
print(time.process_time() - start)
"""


def _child(code: str) -> float:
    """What a fresh process prints."""
    text = code.format(root=str(ROOT), here=str(Path(__file__).resolve()))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout.split()[-1])


def fresh_processes() -> dict[str, Row]:
    """Memory and the first call, each in a process of its own."""
    first = min(_child(_FIRST) for _ in range(3))
    name, note = "extra memory, forward + backward 262,144", "peak, outputs and gradients included"
    if Path("/proc/self/clear_refs").exists():
        memory = at_most(_child(_MEMORY), 100, "MB", note)
    else:
        memory = row(None, "MB", "<= 100", None, "needs /proc")
    return {
        name: memory,
        "warm import and first call (forward + backward)": at_most(first, 1.5, "s", "CPU time after torch is imported"),
    }


def rows() -> dict[str, Row]:
    """All rows; the CUDA rows are measured by benchmarks/gpu/record.py where there is a GPU."""
    torch.set_num_threads(1)
    os.environ.setdefault("GGTALKER_RASTER_THREADS", "1")
    result = {**equality(), **projection(), **against_torch(), **threads(), **fresh_processes()}
    why = available_backends()["gsplat"].why
    for name, target in (
        ("CUDA: our wrapper over a bare gsplat call, one frame", "<= 1.05"),
        ("CUDA: time per frame at batch 16 over a one-frame loop", "<= 0.7"),
        ("CUDA: avatar frame over the bare batched gsplat call, batch 16", "<= 1.5"),
        ("CUDA: gsplat's recorded picture replayed on the CPU, largest error", "<= 0.008"),
    ):
        result[name] = row(
            None, "x", target, None, f"not measured: {why} Run benchmarks/gpu/record.py on a GPU machine."
        )
    return result
