"""The command line's grammar."""

from __future__ import annotations

import argparse
import os
from fractions import Fraction
from pathlib import Path

from .. import __version__

BASES = ("self", "written_consent", "licensed_dataset", "synthetic_person")  # what can be stated
LABELS = ("eu_generated", "eu_modified", "eu_ai", "zh_generated", "zh_synthesised", "text", "none")
CONSENT_VARIABLE = "GGTALKER_CONSENT"
_PRESETS = ("draft", "standard", "full", "tiny")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m ggtalker_core.cli",
        description="GGTalker: a clip of a consenting person becomes a head that speaks any audio.",
        epilog="Training a visual prior is not part of this version.",
    )
    parser.add_argument("--version", action="version", version=f"ggtalker {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _talk(commands.add_parser("talk", help="clip and voice in, talking video out"))
    _track(commands.add_parser("track", help="fit the head model to every frame of a clip"))
    _adapt(commands.add_parser("adapt", help="make an avatar file of a clip"))
    _speak(commands.add_parser("speak", help="let an avatar file speak"))
    _evaluate(commands.add_parser("evaluate", help="self-reenactment on held-out frames, all metrics, plots"))
    _verify(commands.add_parser("verify", help="read watermark, manifest and tags back from a file"))
    _train(commands.add_parser("train", help="train an audio prior of your own"))
    _common(commands.add_parser("doctor", help="what was found on this machine, and how to mend what is missing"))
    return parser


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("audio-prior",), help="audio-prior: sound to mouth motion")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="JSON settings of the run (docs/training.md)")
    _common(parser)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        metavar="OUT",
        nargs="?",
        const="-",
        help="give the result as one JSON object; - or nothing: to stdout",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _clip(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--video", type=Path, required=True, help="a video of one person")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="use the clip from this second on")
    parser.add_argument("--end", type=float, default=None, metavar="S", help="use the clip up to this second")
    parser.add_argument("--fps", type=fps, default=Fraction(25), help="frame rate, e.g. 25 or 30000/1001 (default: 25)")


def _machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--backend", default="auto", help="rasteriser: auto, gsplat, numba or torch (default: auto)")


def _preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=_PRESETS, default="draft", help="quality of the avatar (default: draft)")


def _consent(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("consent, stored in the avatar and in every video")
    group.add_argument(
        "--statement",
        "--consent",
        metavar="TEXT",
        default=os.environ.get(CONSENT_VARIABLE) or None,
        help=f"who agreed to what, and when (default: ${CONSENT_VARIABLE}). Without it a trial is made: label and "
        "watermark cannot be turned off, and the avatar speaks until tomorrow only",
    )
    group.add_argument(
        "--basis", choices=BASES, help="on what the statement rests (default with a statement: written_consent)"
    )
    group.add_argument("--expires", metavar="YYYY-MM-DD", help="no video is made after this day")


def _voice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="the .mp4 to write")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal videos")
    parser.add_argument("--mouth-gain", type=float, default=1.0, help="more or less mouth (default: 1)")
    parser.add_argument(
        "--smoothing", type=float, default=0.0, help="0 to 1; smoother, but lips close less (default: 0)"
    )
    parser.add_argument(
        "--prior", type=Path, metavar="X.safetensors", help="an audio prior of your own (train audio-prior)"
    )
    parser.add_argument("--crf", type=int, default=18, help="quality of the file, lower is better (default: 18)")
    group = parser.add_argument_group("marks")
    group.add_argument("--label", choices=LABELS, default="eu_generated", help="wording of the visible label")
    group.add_argument("--label-text", default="", help="for --label text")
    group.add_argument("--no-watermark", action="store_true", help="no invisible mark; that is written into the file")


def _talk(parser: argparse.ArgumentParser) -> None:
    _clip(parser)
    parser.add_argument("--audio", type=Path, required=True, help="what the person is to say")
    parser.add_argument("--save-avatar", type=Path, metavar="X.avatar.safetensors", help="also keep the avatar")
    _preset(parser)
    _voice(parser)
    _machine(parser)
    _consent(parser)
    _common(parser)


def _track(parser: argparse.ArgumentParser) -> None:
    _clip(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="X.track.safetensors")
    parser.add_argument(
        "--overlay", type=Path, metavar="X.mp4", help="also write the clip with the tracked head over it"
    )
    _machine(parser)
    _common(parser)


def _adapt(parser: argparse.ArgumentParser) -> None:
    _clip(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="X.avatar.safetensors")
    parser.add_argument(
        "--track", type=Path, metavar="X.track.safetensors", help="of this clip; else it is tracked now"
    )
    parser.add_argument("--resume", type=Path, metavar="X.avatar.safetensors", help="go on with this avatar")
    parser.add_argument("--name", help="of the avatar (default: the clip's)")
    parser.add_argument(
        "--stages",
        default="preset",
        metavar="NAMES",
        help="some of map, parameters, colors, style, inpainter, with commas between (default: those of the preset, or "
        "what an interrupted avatar lacks)",
    )
    parser.add_argument(
        "--minutes", type=float, default=0.0, metavar="M", help="train by the clock (default: the preset's steps)"
    )
    parser.add_argument("--curves", type=Path, metavar="X.png", help="also draw the error of every stage")
    _preset(parser)
    _machine(parser)
    _consent(parser)
    _common(parser)


def _speak(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--avatar", type=Path, required=True, metavar="X.avatar.safetensors")
    parser.add_argument("--audio", type=Path, help="what the person is to say")
    parser.add_argument(
        "--motion",
        type=Path,
        metavar="M",
        help="drive with a .motion.safetensors or .track.safetensors instead of the voice",
    )
    parser.add_argument("--fps", type=fps, default=None, help="frame rate (default: the avatar's)")
    parser.add_argument(
        "--camera", choices=("own", "orbit"), default="own", help="orbit: the head alone, seen from around"
    )
    _voice(parser)
    _machine(parser)
    _common(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    _clip(parser)
    _preset(parser)
    parser.add_argument(
        "--test-step", type=int, default=1, metavar="N", help="score every N-th test frame (default: 1)"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="where the sheet and the plots go (default: beside OUT)"
    )
    _machine(parser)
    _common(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="video or image")
    parser.add_argument("--store", type=Path, metavar="DIR", help="folder of manifests kept by id")
    _common(parser)


def fps(text: str) -> Fraction:
    """A frame rate from text, `25` or `30000/1001`; argparse says what is wrong with it."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a frame rate; write 25 or 30000/1001") from error
    if not 1 <= value <= 240:
        raise argparse.ArgumentTypeError(f"a frame rate lies between 1 and 240, got {text}")
    return value
