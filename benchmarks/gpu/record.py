"""On a machine with an NVIDIA GPU, in one command and without network: builds gsplat, records its pictures, measures.

    python benchmarks/gpu/record.py [--out FOLDER] [--no-build]

1. gsplat must be importable (`pip install gsplat==1.5.3`, or its wheel on PYTHONPATH). If its CUDA code is not
   compiled yet, it is compiled here, for this GPU only (some minutes; needs nvcc, a C++ compiler, ninja).
2. FOLDER/gsplat_fixture.safetensors: gsplat's pictures, coverage and gradients of 4,096 Gaussians, both modes.
   Put it into tests/render/fixtures/: the tests then replay it against the CPU backends on every machine.
3. FOLDER/rasteriser_gpu.json: the CUDA rows of the rasteriser's table (medians of alternating runs).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, outside any ComfyUI process

from ggtalker_core.render import backend_gsplat, gsplat_extension, render  # noqa: E402
from ggtalker_core.types import Camera, Gaussians  # noqa: E402

FIELDS = ("means", "quats", "scales", "opacities", "colors")
MODES = {"classic": False, "antialiased": True}


def shared() -> Any:
    """The CPU benchmark: its scene and its rows' form."""
    spec = importlib.util.spec_from_file_location("ggtalker_bench", ROOT / "benchmarks" / "rasteriser.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("benchmarks/rasteriser.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def ensure_gsplat(build: bool) -> str:
    """Make gsplat usable, compiling it if that is allowed; returns what is used. Exits with a text if it cannot be."""
    found = gsplat_extension.find()
    if not found.ok and torch.cuda.is_available() and build:
        major, minor = torch.cuda.get_device_capability()
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", f"{major}.{minor}")
        os.environ.setdefault("MAX_JOBS", str(min(16, os.cpu_count() or 1)))
        print(f"compiling gsplat for sm_{major}{minor} with {os.environ['MAX_JOBS']} jobs", flush=True)
        start = time.perf_counter()
        from gsplat.cuda import _backend

        if _backend._C is None:
            raise SystemExit("gsplat did not compile: is the CUDA toolkit (nvcc) there?")
        print(f"compiled in {time.perf_counter() - start:.0f} s", flush=True)
        sys.modules[gsplat_extension._MODULE] = _backend._C
        found = gsplat_extension.find()
    if not found.ok:
        raise SystemExit(f"{found.why}\n{found.how_to_fix}")
    backend_gsplat.availability.cache_clear()
    return found.why


def fixture_scene() -> tuple[Gaussians, Camera, Tensor, Tensor, Tensor]:
    """4,096 Gaussians of all shapes before a camera: on and off the picture, opaque and faint; and cotangents."""
    g = torch.Generator().manual_seed(20)
    n, size = 4096, 128
    means = torch.randn(1, n, 3, generator=g) * torch.tensor([0.9, 0.9, 0.6])
    scales = torch.rand(1, n, 3, generator=g) * torch.tensor([0.06, 0.06, 0.01]) + 0.003
    parts = (
        means, torch.randn(1, n, 4, generator=g), scales, torch.rand(1, n, generator=g) * 0.98 + 0.01,
        torch.rand(1, n, 3, generator=g),
    )  # fmt: skip
    view = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    view[2, 3] = 3.0
    k = torch.tensor([[140.0, 0, 61.0], [0, 150.0, 66.0], [0, 0, 1.0]])
    camera = Camera(view[None], k[None], size, size)
    v_rgb, v_alpha = torch.randn(1, size, size, 3, generator=g), torch.randn(1, size, size, 1, generator=g)
    return Gaussians(*parts), camera, torch.tensor([0.1, 0.5, 0.9]), v_rgb, v_alpha


def record_fixture(path: Path) -> None:
    """Write inputs, and gsplat's pictures and gradients in both modes."""
    from safetensors.torch import save_file

    gaussians, camera, background, v_rgb, v_alpha = fixture_scene()
    tensors: dict[str, Tensor] = {f"in.{n}": getattr(gaussians, n) for n in FIELDS}
    tensors |= {"in.viewmat": camera.viewmat, "in.intrinsics_px": camera.intrinsics_px, "in.background": background}
    tensors |= {"in.v_rgb": v_rgb, "in.v_alpha": v_alpha}
    for mode, antialiased in MODES.items():
        leaves = [getattr(gaussians, n).cuda().requires_grad_() for n in FIELDS]
        out = render(Gaussians(*leaves), camera, background.cuda(), backend="gsplat", antialiased=antialiased)
        ((out.rgb * v_rgb.cuda()).sum() + (out.alpha * v_alpha.cuda()).sum()).backward()
        tensors |= {f"{mode}.rgb": out.rgb.detach().cpu(), f"{mode}.alpha": out.alpha.detach().cpu()}
        tensors |= {f"{mode}.{n}": leaf.grad.cpu() for n, leaf in zip(FIELDS, leaves) if leaf.grad is not None}
    metadata = {
        "gsplat": gsplat_extension._installed_version() or "", "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name(0), "size": json.dumps([camera.width, camera.height]),
    }  # fmt: skip
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


def medians(jobs: dict[str, Callable[[], object]], runs: int = 40) -> dict[str, float]:
    """Median wall time of each job [s], run in turns, the GPU synchronised before and after."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for k in range(runs + 5):
        for name, job in jobs.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            job()
            torch.cuda.synchronize()
            if k >= 5:  # the first few warm up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def bare_call(gaussians: Gaussians, camera: Camera) -> Callable[[], object]:
    """gsplat as its documentation calls it, with everything on the GPU already."""
    from gsplat import rasterization

    frames = int(gaussians.means.shape[0])
    views = camera.viewmat.cuda().expand(frames, 4, 4).contiguous()[:, None]
    ks = camera.intrinsics_px.cuda().expand(frames, 3, 3).contiguous()[:, None]
    return lambda: rasterization(
        means=gaussians.means, quats=gaussians.quats, scales=gaussians.scales, opacities=gaussians.opacities,
        colors=gaussians.colors, viewmats=views, Ks=ks, width=camera.width, height=camera.height, packed=False,
        backgrounds=torch.zeros(frames, 1, 3, device="cuda"),
    )  # fmt: skip


def batch_of(gaussians: Gaussians, frames: int) -> Gaussians:
    """The same Gaussians `frames` times, each frame moved a little."""
    shift = torch.linspace(0, 0.02, frames, device=gaussians.means.device)[:, None, None]
    rest = {n: getattr(gaussians, n).expand(frames, *getattr(gaussians, n).shape[1:]).contiguous() for n in FIELDS}
    rest["means"] = rest["means"] + shift
    return Gaussians(**rest)


@torch.no_grad()
def raster_rows(bench: Any) -> dict[str, Any]:
    """Our wrapper against the bare call, batches against a loop, CPU against CUDA; 262,144 Gaussians, 512x512."""
    on_cpu, camera = bench.head(262_144, 512)
    one = on_cpu.to("cuda")
    many = batch_of(one, 16)
    singles = [Gaussians(*(getattr(many, n)[i : i + 1] for n in FIELDS)) for i in range(16)]
    t = medians({
        "bare": bare_call(one, camera),
        "wrapper": lambda: render(one, camera, backend="gsplat"),
        "batch": lambda: render(many, camera, backend="gsplat"),
        "loop": lambda: [render(g, camera, backend="gsplat") for g in singles],
        "bare batch": bare_call(many, camera),
    })  # fmt: skip
    ours = render(on_cpu, camera, backend="numba").rgb
    error = (render(one, camera, backend="gsplat").rgb.cpu() - ours).square().mean()
    psnr = float(-10 * error.clamp(min=1e-20).log10())
    return {
        "CUDA: our wrapper over a bare gsplat call, one frame": bench.at_most(
            t["wrapper"] / t["bare"], 1.05, "x", f"{t['wrapper'] * 1e3:.3f} over {t['bare'] * 1e3:.3f} ms"
        ),
        "CUDA: time per frame at batch 16 over a one-frame loop": bench.at_most(
            t["batch"] / t["loop"], 0.7, "x", f"{t['batch'] / 16e-3:.3f} over {t['loop'] / 16e-3:.3f} ms a frame"
        ),
        "CUDA: PSNR between CPU and CUDA pictures": bench.at_least(psnr, 60, "dB"),
        "CUDA: bare batched call, ms a frame": bench.row(t["bare batch"] / 16e-3, "ms", "", None),
    }


@torch.no_grad()
def avatar_rows(bench: Any) -> dict[str, Any]:
    """A whole avatar frame (skinning, binding, colour network, rasterising; batch 16) over the bare batched call."""
    import dataclasses

    from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
    from ggtalker_core.gaussians.color_mlp import condition_of, new_color_mlp
    from ggtalker_core.gaussians.synthetic import synthetic_avatar

    name = "CUDA: avatar frame over the bare batched gsplat call, batch 16"
    avatar = synthetic_avatar(512, frames=16, size_px=(512, 512))
    count = int(AvatarRenderer(avatar).texels.offset_m.shape[0])
    track = avatar.body.track
    condition = condition_of(track.expression, track.jaw_rad, track.rotation_rad)
    avatar = dataclasses.replace(avatar, color_mlp=new_color_mlp(count, condition))
    renderer = AvatarRenderer(avatar, backend="gsplat", device="cuda")
    pose = renderer.pose(track.to_motion(), 0, 16)
    gaussians, camera = renderer.gaussians(pose), renderer.camera()
    t = medians({
        "bare": bare_call(gaussians, camera),
        "frame": lambda: render(renderer.gaussians(pose), camera, backend="gsplat"),
    })  # fmt: skip
    note = f"{count} Gaussians; {16 / t['frame']:.0f} frames a second"
    return {name: bench.at_most(t["frame"] / t["bare"], 1.5, "x", note)}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--no-build", action="store_true", help="fail instead of compiling gsplat")
    args = parser.parse_args()
    used = ensure_gsplat(not args.no_build)
    args.out.mkdir(parents=True, exist_ok=True)
    record_fixture(args.out / "gsplat_fixture.safetensors")
    bench = shared()
    rows: dict[str, Any] = {}
    failed = False
    for part in (raster_rows, avatar_rows):
        try:
            rows |= part(bench)
        except Exception as error:  # what was measured so far is kept
            failed = True
            rows[part.__name__] = bench.row(None, "", "", None, f"{type(error).__name__}: {error}")
    report = {
        "benchmark": "rasteriser_gpu", "command": "python benchmarks/gpu/record.py",
        "date": time.strftime("%Y-%m-%d"), "gsplat": used, "rows": rows,
        "machine": {
            "gpu": torch.cuda.get_device_name(0), "torch": torch.__version__, "python": platform.python_version(),
        },
    }  # fmt: skip
    (args.out / "rasteriser_gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(rows, indent=1))
    return 0 if all(r["ok"] is not False for r in rows.values()) and not failed else 1


if __name__ == "__main__":
    raise SystemExit(main())
