"""Finds and loads gsplat's compiled CUDA extension without ever compiling one.

gsplat's PyPI wheel holds no binary: its first call runs nvcc for minutes, or fails with an AttributeError. So we look
for a binary that is there already (a prebuilt wheel's `gsplat/csrc*`, or what gsplat itself compiled earlier into
torch's extension cache), load it ourselves and put it where gsplat looks first. If there is none, we say what to run.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

from ..errors import BackendUnavailableError
from .select import Availability

_MODULE = "gsplat.csrc"  # what gsplat imports before it thinks of compiling
_CACHED = "gsplat_cuda"  # the name under which gsplat compiles itself
_NEEDS = ("packaging", "setuptools", "rich", "jaxtyping")  # imported by gsplat; its metadata leaves out the first two
_WHEELS = "https://pozzettiandrea.github.io/cuda-wheels/v2/"  # third-party builds of gsplat 1.5.3
_WHEEL_TORCH = ((2, 4), (2, 11))  # the versions listed there, for Python 3.10 to 3.14
_WHEEL_CUDA = ("12.4", "12.6", "12.8", "12.9", "13.0")


def has_gpu() -> bool:
    """Whether torch has a CUDA (or ROCm) device; asks the driver, starts nothing on it."""
    import torch

    return torch.cuda.is_available()


def look() -> Availability:
    """Whether a usable gsplat seems to be here: nothing of it is imported, loaded or compiled."""
    if not has_gpu():
        return Availability(False, _why_no_gpu())
    found = _installed_version()
    if not _package_folders() or found is None:
        return Availability(False, "The package gsplat is not installed.", how_to_install())
    if not (1, 5) <= _major_minor(found) < (2, 0):
        return Availability(False, f"gsplat {found} is installed; 1.5 or newer, below 2, is needed.", how_to_install())
    absent = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if absent:
        return Availability(
            False,
            f"gsplat {found} needs {', '.join(absent)}, which its own installation leaves out.",
            f'Run: "{sys.executable}" -m pip install {" ".join(absent)}',
        )
    binary = find_binary()
    if binary is None and _MODULE not in sys.modules:
        return Availability(
            False,
            f"gsplat {found} is installed without its compiled CUDA code, and nothing is compiled inside a node.",
            how_to_install(),
        )
    return Availability(
        True, f"gsplat {found} with compiled CUDA code ({binary.name if binary else 'loaded already'})."
    )


def find() -> Availability:
    """Whether a usable gsplat is here; loads its binary if CUDA is usable, compiles nothing."""
    found = look()
    if found.ok:
        try:
            load()
        except BackendUnavailableError as error:
            return Availability(False, str(error), how_to_install())
    return found


def _why_no_gpu() -> str:
    """Why torch sees no GPU that gsplat could use."""
    import torch

    if torch.version.cuda or torch.version.hip:
        return "It needs an NVIDIA GPU that torch can use (torch.cuda.is_available() is False)."
    why = f"It needs an NVIDIA GPU and a PyTorch built for CUDA; this one ({torch.__version__}) is not."
    if shutil.which("nvidia-smi"):
        return f"{why} The machine has an NVIDIA driver: install PyTorch for CUDA as pytorch.org says."
    return why


def find_binary() -> Path | None:
    """The compiled extension that is there already: the package's own, or from torch's extension cache."""
    for folder, name in (*((f, "csrc") for f in _package_folders()), *((f, _CACHED) for f in _cache_folders())):
        for suffix in (*importlib.machinery.EXTENSION_SUFFIXES, ".pyd", ".so"):
            path = folder / (name + suffix)
            if path.is_file():
                return path
    return None


def load() -> None:
    """Make gsplat use the binary that is there.

    Raises:
        BackendUnavailableError: there is none, or it does not fit this torch.
    """
    if _MODULE in sys.modules:
        return
    binary = find_binary()
    if binary is None:
        raise BackendUnavailableError(f"gsplat has no compiled CUDA code here. {how_to_install()}")
    name = _MODULE if binary.name.startswith("csrc") else _CACHED
    try:
        spec = importlib.util.spec_from_file_location(name, binary)
        if spec is None or spec.loader is None:
            raise ImportError(f"{binary} is no extension module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:  # a binary of another torch fails with OSError or ImportError, or worse
        raise BackendUnavailableError(
            f"gsplat's compiled code {binary} does not load into this torch ({type(error).__name__}: {error})."
        ) from error
    sys.modules[_MODULE] = module


def how_to_install() -> str:
    """One exact command for this Python, torch and CUDA: a prebuilt wheel where one is listed, else the compiler."""
    import torch

    python = f'"{sys.executable}"'
    if torch.version.hip is not None:
        return (
            "AMD publishes gsplat for ROCm on Linux as 'amd_gsplat' in its own package index; without it, plain torch "
            "renders on the GPU and numba on the CPU."
        )
    cuda = torch.version.cuda or ""
    version = _major_minor(str(torch.__version__))
    if cuda in _WHEEL_CUDA and _WHEEL_TORCH[0] <= version <= _WHEEL_TORCH[1]:
        tag = f"cu{cuda.replace('.', '')}torch{version[0]}.{version[1]}"
        return f'Run: {python} -m pip install --no-deps "gsplat==1.5.3+{tag}" --extra-index-url {_WHEELS}'
    install = f'{python} -m pip install "gsplat>=1.5" packaging ninja'
    build = f'{python} -c "from gsplat.cuda._backend import _C"'
    if not _has_nvcc():
        return (
            f"No prebuilt gsplat is known for torch {torch.__version__}. Install the CUDA {cuda} toolkit and a C++ "
            f"compiler, then run (minutes): {install} && {build}"
        )
    return f"Run (it compiles for some minutes; set MAX_JOBS=4 on a small machine): {install} && {build}"


def _installed_version() -> str | None:
    """The version of gsplat, or of AMD's build of it."""
    for name in ("gsplat", "amd_gsplat"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _major_minor(version: str) -> tuple[int, int]:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _has_nvcc() -> bool:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    return shutil.which("nvcc") is not None or bool(home and (Path(home) / "bin").is_dir())


def _package_folders() -> list[Path]:
    spec = importlib.util.find_spec("gsplat")  # finds, does not import
    return [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []


def _cache_folders() -> list[Path]:
    """Where torch keeps extensions compiled at run time, for this Python and CUDA."""
    import torch

    asked = os.environ.get("TORCH_EXTENSIONS_DIR")
    if asked:
        return [Path(asked) / _CACHED]
    try:
        from torch.utils.cpp_extension import get_default_build_root

        root = Path(get_default_build_root())
    except Exception:  # it pulls in setuptools, which may be missing or broken
        return []
    kind = f"rocm{torch.version.hip}" if torch.version.hip else f"cu{torch.version.cuda}"
    kind = kind.replace(".", "")
    python = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
    return [root / f"{python}_{kind}" / _CACHED]
