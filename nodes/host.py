"""What the nodes ask of ComfyUI: progress and cancelling, the device, the folders, ordinary tensors."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..ggtalker_core.errors import UnsafePathError
from ..ggtalker_core.progress import Progress, patiently

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AVATARS = "ggtalker_avatars"
FLAME = "ggtalker_flame"
PRIORS = "ggtalker_audio_priors"
MANIFESTS = "ggtalker_manifests"
AVATAR_SUFFIX = ".avatar.safetensors"
_PREVIEW_EVERY_S = 1.0
_TEXT_EVERY_S = 0.5


class NodeProgress:
    """Shows the core's progress on the running node, and raises ComfyUI's interrupt when the user cancels."""

    def __init__(self) -> None:
        """Report for the node that is running now."""
        import comfy.utils

        self._bar = comfy.utils.ProgressBar(1)
        self._node_id = _running_node()
        self._began_s = time.monotonic()
        self._last_preview_s = self._last_text_s = -1e9

    def __call__(self, done: int, total: int, message: str = "", preview: NDArray[np.uint8] | None = None) -> None:
        """Report `done` of `total` steps; see `ggtalker_core.progress.Progress`."""
        import comfy.model_management

        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(done, max(total, 1), self._due_preview(preview))
        self._show_text(message)

    def _due_preview(self, preview: NDArray[np.uint8] | None) -> tuple[str, object, int] | None:
        now = time.monotonic()
        if preview is None or now - self._last_preview_s < _PREVIEW_EVERY_S:
            return None
        from PIL import Image

        self._last_preview_s = now
        return ("JPEG", Image.fromarray(preview), 512)

    def _show_text(self, message: str) -> None:
        now = time.monotonic()
        if message and now - self._last_text_s >= _TEXT_EVERY_S:
            self._last_text_s = now
            self._send(message)

    def say(self, message: str) -> None:
        """Show a text on the node at once, and in the log."""
        logging.getLogger(__name__).info(message)
        self._send(message)

    def finish(self) -> None:
        """Replace the last message, which would stay on the node, by the time the work took."""
        if self._last_text_s > 0:
            self._send(f"done in {time.monotonic() - self._began_s:.0f} s")

    def _send(self, message: str) -> None:
        if self._node_id is None:
            return
        from server import PromptServer

        PromptServer.instance.send_progress_text(message, self._node_id)


def _running_node() -> str | None:
    """The id of the node that is executing, or None outside a run."""
    from comfy_execution.utils import get_executing_context

    context = get_executing_context()
    return None if context is None else context.node_id


@dataclass(frozen=True)
class Job:
    """What a core call needs from the host."""

    progress: NodeProgress
    device: str


@contextlib.contextmanager
def job() -> Iterator[Job]:
    """Run core code as it runs outside ComfyUI: ordinary tensors, gradients allowed, progress on this node.

    ComfyUI executes nodes in inference mode. A tensor made there can never be trained on, not even later by another
    node, and models that the core caches would be spoilt for the rest of the session.
    """
    progress = NodeProgress()
    with ordinary_tensors():
        yield Job(progress, device())
    progress.finish()


@contextlib.contextmanager
def ordinary_tensors(*, gradients: bool = True) -> Iterator[None]:
    """Leave ComfyUI's inference mode for the length of the block."""
    import torch

    with torch.inference_mode(False), torch.set_grad_enabled(gradients):
        yield


def loaded(progress: Progress, *modules: str) -> None:
    """Import slow modules while the user can cancel."""
    patiently(lambda: [importlib.import_module(name) for name in modules], progress, "Loading")


def device() -> str:
    """The device that ComfyUI chose, where the core has a path for it; else "cpu"."""
    import comfy.model_management

    chosen = comfy.model_management.get_torch_device()
    return str(chosen) if chosen.type == "cuda" else "cpu"


def free_memory_mb() -> float:
    """Free memory of the device on which the core works, in megabytes, as ComfyUI counts it."""
    import comfy.model_management as management
    import torch

    return float(management.get_free_memory(torch.device(device()))) / 1e6


@contextlib.contextmanager
def whole_device() -> Iterator[None]:
    """Make room for training: unload other models first, give the memory back afterwards."""
    import comfy.model_management as management

    if device() != "cpu":
        management.unload_all_models()
    try:
        yield
    finally:
        if device() != "cpu":
            management.soft_empty_cache()


def roots() -> tuple[Path, ...]:
    """The folders in which the pack may read: input, output, temp and the avatar folders."""
    import folder_paths

    return (
        Path(folder_paths.get_input_directory()),
        Path(folder_paths.get_output_directory()),
        Path(folder_paths.get_temp_directory()),
        *(Path(folder) for folder in folder_paths.get_folder_paths(AVATARS)),
    )


def register_folders() -> None:
    """Tell ComfyUI of the pack's model folders, so that extra_model_paths.yaml can add to them."""
    import folder_paths

    from ..ggtalker_core.files import add_head_folder

    folder_paths.add_model_folder_path(FLAME, str(Path(folder_paths.models_dir) / "ggtalker" / "flame"))
    folder_paths.add_model_folder_path(PRIORS, str(Path(folder_paths.models_dir) / "ggtalker" / "audio_priors"))
    folder_paths.add_model_folder_path(AVATARS, str(Path(folder_paths.models_dir) / AVATARS))
    for folder in folder_paths.get_folder_paths(FLAME):
        add_head_folder(folder)


def temp_folder() -> Path:
    """Where files that nobody keeps may lie; ComfyUI empties it when it starts."""
    import folder_paths

    return Path(folder_paths.get_temp_directory())


def flame_files() -> list[str]:
    """Names of the user's own FLAME files (.pkl, .npz) in models/ggtalker/flame, sorted."""
    return sorted(path.name for path in _flame_paths())


def flame_head(name: str) -> str:
    """The converted head behind a name of `flame_files`, for `load_head`; it is converted at its first use.

    Raises UnreadableFileError where the file is gone or is no FLAME model.
    """
    from ..ggtalker_core.errors import UnreadableFileError
    from ..ggtalker_core.files import add_head_folder
    from ..ggtalker_core.head.flame_files import converted_flame

    for path in _flame_paths():
        if path.name == name:
            add_head_folder(path.parent)
            return converted_flame(path).name  # tracks and avatars travel: they must not hold a path of this machine
    raise UnreadableFileError(
        f"There is no FLAME file '{name}' in models/ggtalker/flame. Put it there (.pkl or .npz, from the FLAME page), "
        "reload the page and choose it again, or choose default."
    )


def audio_priors() -> list[str]:
    """Names of the user's own audio priors (.safetensors) in models/ggtalker/audio_priors, sorted."""
    return sorted(path.name for path in _files_in(PRIORS, ".safetensors"))


def audio_prior(name: str) -> Path:
    """The file behind a name of `audio_priors`. Raises UnreadableFileError where it is gone."""
    from ..ggtalker_core.errors import UnreadableFileError

    for path in _files_in(PRIORS, ".safetensors"):
        if path.name == name:
            return path
    raise UnreadableFileError(
        f"There is no audio prior '{name}' in models/ggtalker/audio_priors. Put the file that `train audio-prior` "
        "wrote there, reload the page and choose it again, or choose bundled."
    )


def _flame_paths() -> list[Path]:
    return _files_in(FLAME, ".pkl", ".npz")


def _files_in(kind: str, *suffixes: str) -> list[Path]:
    """The files with these suffixes in the folders of a registered kind."""
    import folder_paths

    folders = [Path(folder) for folder in folder_paths.get_folder_paths(kind)] if _knows(kind) else []
    return [p for folder in folders if folder.is_dir() for p in folder.iterdir() if p.suffix in suffixes]


def _knows(folder: str) -> bool:
    """Whether ComfyUI was told of this kind of folder; before that there is nothing to list."""
    import folder_paths

    return folder in folder_paths.folder_names_and_paths


def manifest_folder() -> Path:
    """Where the records of marked videos are kept by their id, for videos whose tags were stripped."""
    import folder_paths

    return Path(folder_paths.get_output_directory()) / MANIFESTS


def avatar_folder() -> Path:
    """Where avatars are saved."""
    import folder_paths

    return Path(folder_paths.get_folder_paths(AVATARS)[0])


def input_file(name: str) -> Path:
    """The file behind a name of the input folder (or `NAME [output]`, `NAME [temp]`), checked to lie inside."""
    import folder_paths

    from ..ggtalker_core.files import resolve_inside

    try:
        path = folder_paths.get_annotated_filepath(name)
    except ValueError as error:
        raise UnsafePathError(
            f"'{name}' leads out of ComfyUI's folders. Put the file into the input folder and choose it there."
        ) from error
    return resolve_inside(path, roots())


def input_files(*kinds: str) -> list[str]:
    """Names of the files of the input folder of these kinds ("video", "audio", "image"), sorted."""
    import folder_paths

    folder = Path(folder_paths.get_input_directory())
    names = [entry.name for entry in folder.iterdir() if entry.is_file()] if folder.is_dir() else []
    return sorted(folder_paths.filter_files_content_types(names, list(kinds)))


def missing_input_file(name: str) -> str | None:
    """Why `name` cannot be used as an input file, or None."""
    import folder_paths

    if not name:
        return "no file is chosen. Choose one, upload one, or connect a video."
    if not folder_paths.exists_annotated_filepath(name):
        return f"there is no file '{name}' in ComfyUI's input folder. Upload it with the button of this node."
    return None


def file_stamp(path: str | Path) -> str:
    """Changes whenever the file does: time of change and size."""
    status = Path(path).stat()
    return f"{status.st_mtime_ns}:{status.st_size}"
