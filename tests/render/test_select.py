"""Which backend is chosen, what is said about the others, and that nothing is compiled or imported to find out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ggtalker_core.errors import BackendUnavailableError
from ggtalker_core.render import (
    Availability,
    available_backends,
    backend_numba,
    choose_backend,
    gsplat_extension,
    render,
    select,
)

ROOT = Path(__file__).resolve().parents[2]


def _with(monkeypatch, **usable: bool) -> None:
    monkeypatch.delenv("GGTALKER_RASTER", raising=False)
    monkeypatch.setattr(
        select, "_availability", lambda name: Availability(usable.get(name, True), "because", "do this")
    )


@pytest.mark.parametrize(
    ("device", "usable", "want"),
    [
        ("cpu", {}, "numba"),
        ("cpu", {"numba": False}, "torch"),
        ("cuda", {}, "gsplat"),
        ("cuda", {"gsplat": False}, "torch"),
        ("mps", {}, "numba"),
        ("xpu", {"numba": False}, "torch"),
    ],
)
def test_auto(monkeypatch, device: str, usable: dict[str, bool], want: str) -> None:
    _with(monkeypatch, **usable)
    assert choose_backend("auto", device) == want


def test_names_and_environment(monkeypatch) -> None:
    _with(monkeypatch)
    assert choose_backend("cpu") == "numba"
    monkeypatch.setenv("GGTALKER_RASTER", "torch")
    assert choose_backend("auto") == "torch" and choose_backend("numba") == "numba"
    with pytest.raises(BackendUnavailableError, match="no rasteriser 'warp'"):
        choose_backend("warp")
    with pytest.raises(BackendUnavailableError, match="CUDA"):
        choose_backend("gsplat", "cpu")
    _with(monkeypatch, gsplat=False)
    with pytest.raises(BackendUnavailableError, match="because do this"):
        choose_backend("gsplat", "cuda")


def test_here_and_now() -> None:
    found = available_backends()
    assert list(found) == ["gsplat", "numba", "torch"] and found["numba"].ok and found["torch"].ok
    if not torch.cuda.is_available():
        assert not found["gsplat"].ok and "GPU" in found["gsplat"].why


def test_looking_imports_no_gsplat_and_rendering_no_threading_layer() -> None:
    """In a fresh process: the package itself imports no torch, looking imports no gsplat."""
    code = (
        "import sys, importlib.util as u\n"
        f"s = u.spec_from_file_location('ggtalker_core', {str(ROOT / 'ggtalker_core/__init__.py')!r},"
        f" submodule_search_locations=[{str(ROOT / 'ggtalker_core')!r}])\n"
        "m = u.module_from_spec(s); sys.modules['ggtalker_core'] = m; s.loader.exec_module(m)\n"
        "from ggtalker_core.render import available_backends\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules\n"
        "from ggtalker_core.render.select import auto_sentence\n"
        "auto_sentence()\n"
        "assert 'gsplat' not in sys.modules and 'numba' not in sys.modules\n"
        "import torch; assert not torch.cuda.is_initialized()\n"
        "available_backends()\n"
        "assert 'gsplat' not in sys.modules, 'gsplat'\n"
        "assert not any(k.startswith('numba.np.ufunc') and k.endswith('pool') for k in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "tests", timeout=300)


def test_without_numba_it_renders_in_torch_and_never_touches_gsplat() -> None:
    """A fresh process in which importing numba fails, as it does beside a numpy that it does not know."""
    code = (
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'numba': raise ImportError('Numba needs NumPy 2.0 or less')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "import torch\n"
        "from ggtalker_core.render import available_backends, choose_backend, render\n"
        "from ggtalker_core.types import Camera, Gaussians\n"
        "assert choose_backend() == 'torch'\n"
        "found = available_backends()['numba']\n"
        "assert not found.ok and 'NumPy 2.0' in found.why and 'pip install' in found.how_to_fix, found\n"
        "n = torch.rand(1, 20, 3)\n"
        "g = Gaussians(n + torch.tensor([0., 0., 2.]), torch.rand(1, 20, 4), n * 0.1, torch.rand(1, 20), n)\n"
        "c = Camera(torch.eye(4)[None], torch.diag(torch.tensor([50., 50., 1.]))[None], 32, 32)\n"
        "assert render(g, c).alpha.max() > 0\n"
        "assert not {'gsplat', 'numba', 'triton'} & set(sys.modules) and not torch.cuda.is_initialized()\n"
    )
    env = {k: v for k, v in os.environ.items() if k != "GGTALKER_RASTER"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_broken_numba_falls_back_to_torch_once_and_says_so(cloud, monkeypatch, caplog) -> None:
    def broken() -> None:
        raise BackendUnavailableError("numba is broken.")

    monkeypatch.delenv("GGTALKER_RASTER", raising=False)
    monkeypatch.setattr(backend_numba, "_compiled", broken)
    assert render(cloud.gaussians, cloud.camera).rgb.shape[-1] == 3
    assert "numba is broken" in caplog.text
    with pytest.raises(BackendUnavailableError):
        render(cloud.gaussians, cloud.camera, backend="numba")


def test_the_sentence_for_tooltips_says_which_and_why_not_the_faster(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    text = select.auto_sentence()
    assert "auto takes numba on the CPU; not gsplat: It needs an NVIDIA GPU" in text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch, "__version__", "2.8.0+cu128")
    monkeypatch.setattr(gsplat_extension, "_installed_version", lambda: None)
    text = select.auto_sentence()
    assert "auto takes torch on the GPU; not gsplat: The package gsplat is not installed. Run: " in text
    assert text.count("pip install") == 1 and sys.executable in text and "+cu128torch2.8" in text
    monkeypatch.setattr(gsplat_extension, "_installed_version", lambda: "1.5.3")
    monkeypatch.setattr(gsplat_extension, "_package_folders", lambda: [tmp_path])
    (tmp_path / "csrc.so").write_bytes(b"never loaded by looking")
    assert select.auto_sentence() == "Here auto takes gsplat."


@pytest.mark.parametrize(
    ("torch_version", "cuda", "want"),
    [
        ("2.8.0+cu128", "12.8", 'gsplat==1.5.3+cu128torch2.8" --extra-index-url https://'),
        ("2.11.0+cu130", "13.0", "+cu130torch2.11"),
        ("2.13.0+cu130", "13.0", 'pip install "gsplat>=1.5" packaging ninja'),
    ],
)
def test_one_exact_command(monkeypatch, torch_version: str, cuda: str, want: str) -> None:
    monkeypatch.setattr(torch, "__version__", torch_version)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    text = gsplat_extension.how_to_install()
    assert want in text and sys.executable in text


def test_gsplat_without_binary_is_told_not_compiled(monkeypatch, tmp_path) -> None:
    """A CUDA machine with the plain wheel: no binary beside it, none in torch's cache."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setattr(gsplat_extension, "_package_folders", lambda: [tmp_path])
    monkeypatch.setattr(gsplat_extension, "_installed_version", lambda: "1.5.3")
    found = gsplat_extension.find()
    assert not found.ok and "nothing is compiled inside a node" in found.why and "Run" in found.how_to_fix
    (tmp_path / "gsplat_cuda").mkdir()
    (tmp_path / "gsplat_cuda" / "gsplat_cuda.so").write_bytes(b"not a library")
    assert gsplat_extension.find_binary() is not None
    found = gsplat_extension.find()
    assert not found.ok and "does not load" in found.why
    monkeypatch.setattr(gsplat_extension, "_installed_version", lambda: "1.4.0")
    assert "1.5 or newer" in gsplat_extension.find().why


def test_two_fresh_processes_share_one_cache(tmp_path) -> None:
    """Both start at once on an empty folder, a third finds what they left; one small kernel stands for all."""
    code = (
        "import numpy as np\n"
        "from ggtalker_core.render import backend_numba\n"
        "backend_numba._kernels()\n"
        "from ggtalker_core.render.cpu.binning import survey\n"
        "found = np.zeros(4, np.int64)\n"
        "survey(np.array([1., 3., 2.], np.float32), np.array([2, 0, 5], np.int32), 0, 3, found)\n"
        "print(found.tolist()[:2], len(survey.stats.cache_hits))\n"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)

    pair = [start(), start()]
    assert all(p.communicate(timeout=300)[0].startswith("[2, 7]") for p in pair)
    assert start().communicate(timeout=300)[0].split("]") == ["[2, 7", " 1\n"], "taken from the cache"
