"""SaveAvatar and LoadAvatar: the person as one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..ggtalker_core.errors import GGTalkerError, UnreadableFileError, UnsafePathError
from . import convert, host, widgets, wires
from .adapt_avatar import report_text

if TYPE_CHECKING:
    from ..ggtalker_core.types import Avatar

DEVICES = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)")  # Windows opens these whatever their ending


def avatar_names() -> list[str]:
    """Avatar files of the models folders, then of the input folder (marked `[input]`)."""
    import folder_paths

    known = [name for name in folder_paths.get_filename_list(host.AVATARS) if name.endswith(host.AVATAR_SUFFIX)]
    folder = Path(folder_paths.get_input_directory())
    given = sorted(f"{path.name} [input]" for path in folder.glob(f"*{host.AVATAR_SUFFIX}"))
    return [*sorted(known), *given]


def avatar_path(name: str) -> Path:
    """Where the avatar of that name lies. Raises UnreadableFileError, UnsafePathError."""
    import folder_paths

    from ..ggtalker_core.files import resolve_inside

    if name.endswith(" [input]"):
        return host.input_file(name)
    path = folder_paths.get_full_path(host.AVATARS, name)
    if path is None:
        folders = " or ".join(folder_paths.get_folder_paths(host.AVATARS))
        raise UnreadableFileError(
            f"There is no avatar '{name}' in {folders}. Make one with the workflow create_avatar, or put the file "
            "there; then press R and choose it."
        )
    return resolve_inside(path, host.roots())


class LoadAvatar(io.ComfyNode):
    """An avatar file becomes an Avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerLoadAvatar",
            display_name="Load Avatar (GGTalker)",
            category="GGTalker/avatar",
            description="Loads a person saved with Save Avatar. One file is enough to speak.",
            search_aliases=["open avatar", "avatar file", "talking head", "use avatar"],
            inputs=[
                io.Combo.Input(
                    "avatar_file",
                    options=avatar_names(),
                    tooltip="Files of models/ggtalker_avatars, and avatar files of the input folder. Press R to see "
                    "new ones.",
                ),
            ],
            outputs=[
                wires.Avatar.Output("avatar", display_name="avatar", tooltip="The person, ready to speak."),
                io.Image.Output("thumbnail", display_name="thumbnail", tooltip="The avatar's picture."),
                io.String.Output(
                    "report", display_name="report", tooltip="Preset, stages, quality figures, consent, watermark id."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, avatar_file: str) -> bool | str:
        """Refuse a name that is not there."""
        if not avatar_file:
            return "there is no avatar yet. Make one with the workflow create_avatar, then press R and choose it."
        try:
            avatar_path(avatar_file)
        except GGTalkerError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, avatar_file: str) -> str:
        """Run again when the file on disk changes."""
        return "" if avatar_file is None else host.file_stamp(avatar_path(avatar_file))

    @classmethod
    def execute(cls, avatar_file: str) -> io.NodeOutput:
        """Load and check the file."""
        from ..ggtalker_core.gaussians.avatar_file import load_avatar

        with host.ordinary_tensors():
            avatar = load_avatar(avatar_path(avatar_file))
        report = report_text(avatar)
        picture = convert.to_image([avatar.thumbnail])
        return io.NodeOutput(avatar, picture, report, ui=convert.on_node(report, picture))


class SaveAvatar(io.ComfyNode):
    """An Avatar becomes a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerSaveAvatar",
            display_name="Save Avatar (GGTalker)",
            category="GGTalker/avatar",
            description="Saves the person as one .avatar.safetensors file in models/ggtalker_avatars.",
            search_aliases=["export avatar", "store avatar", "avatar file"],
            is_output_node=True,
            inputs=[
                wires.Avatar.Input("avatar", tooltip="From Adapt Avatar."),
                io.String.Input(
                    "name",
                    default="avatar",
                    tooltip="File name without ending; letters, digits, space, dot, dash and underscore of any script.",
                ),
                widgets.rare(
                    io.Boolean,
                    "overwrite",
                    default=False,
                    tooltip="Replace a file of that name. Off: a number is added to the name.",
                ),
            ],
            outputs=[
                wires.Avatar.Output("saved", display_name="avatar", tooltip="The same avatar, to go on with."),
                io.String.Output("file", display_name="file", tooltip="The name under which Load Avatar finds it."),
            ],
        )

    @classmethod
    def validate_inputs(cls, name: str) -> bool | str:
        """Refuse a name that could not be a file's."""
        return True if name is None or is_file_name(name) else bad_name(name)

    @classmethod
    def execute(cls, avatar: Avatar, name: str, overwrite: bool = False) -> io.NodeOutput:
        """Write the file."""
        from ..ggtalker_core.gaussians.avatar_file import save_avatar

        path = free_path(name, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_avatar(avatar, path)
        text = f"Saved {path.name} ({path.stat().st_size / 2**20:.1f} MiB) in {path.parent}"
        return io.NodeOutput(avatar, path.name, ui=convert.on_node(text))


def is_file_name(name: str) -> bool:
    """Whether the name is plain: no folders, no leading dot, at most 100 characters, no device of Windows."""
    name = name.strip()
    return re.fullmatch(r"[\w][\w .\-]{0,99}", name) is not None and not DEVICES.fullmatch(name.split(".")[0].strip())


def bad_name(name: str) -> str:
    """What is wrong with the name."""
    return (
        f"'{name}' cannot be a file name. Use up to 100 letters, digits, spaces, dots, dashes and underscores, "
        "beginning with a letter or digit, and none that Windows keeps for devices (CON, NUL, COM1 ...)."
    )


def free_path(name: str, overwrite: bool) -> Path:
    """Where to write: inside models/ggtalker_avatars, with a number added unless a file may be replaced."""
    name = name.strip().removesuffix(host.AVATAR_SUFFIX)
    if not is_file_name(name):
        raise UnsafePathError(bad_name(name))
    folder = host.avatar_folder()
    path = folder / f"{name}{host.AVATAR_SUFFIX}"
    number = 2
    while path.exists() and not overwrite:
        path = folder / f"{name}_{number:02}{host.AVATAR_SUFFIX}"
        number += 1
    return path
