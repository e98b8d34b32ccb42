"""Runs workflows/api/talking_head.json in a ComfyUI of its own on a clip and a voice; called by demo.sh."""
# ruff: noqa: T201 - a command line tool speaks through print

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from comfy_client import Client, Event, Failed, Prompt, Refused, WasInterrupted
from comfy_server import ROOT, ComfyServer, ServerError

SAMPLE = ROOT / "ggtalker_core" / "assets" / "sample"
WORKFLOW = ROOT / "workflows" / "api" / "talking_head.json"
NOT_STATED = "scripts/demo.sh was run on the clip without --consent."
QUIET_S = 30.0  # a log that is no terminal gets a line that often


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="demo.sh", description="A clip and a voice in, a talking video out.")
    parser.add_argument("video", nargs="?", type=Path, help="clip of one person; default: the shipped synthetic sample")
    parser.add_argument("audio", nargs="?", type=Path, help="what the person is to say; default: the shipped voice")
    parser.add_argument("--preset", choices=("draft", "standard", "full"), default="draft")
    parser.add_argument(
        "--consent",
        "--statement",
        metavar="TEXT",
        default=os.environ.get("GGTALKER_CONSENT") or None,
        help="who agreed to the use of your clip, and when; stored in the video. Without it the video says that nobody "
        "stated consent (default: $GGTALKER_CONSENT)",
    )
    parser.add_argument(
        "--basis", choices=("self", "written_consent", "licensed_dataset", "synthetic_person"),
        help="on what that rests (default: written_consent)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="folder for the video (default: out)")
    parser.add_argument("--seconds", type=float, default=0.0, help="use only the first SECONDS of the clip")
    parser.add_argument(
        "--graph-test", action="store_true", help="train for a moment only: tests the chain, looks wrong"
    )
    parser.add_argument("--comfy", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def sample(kind: str, *endings: str) -> Path:
    """The shipped sample file of that kind."""
    found = [path for ending in endings for path in SAMPLE.glob(f"sample_{kind}{ending}")]
    if not found:
        raise SystemExit(f"The shipped sample {kind} is missing in {SAMPLE}; give VIDEO and AUDIO.")
    return found[0]


def only(prompt: Prompt, kind: str) -> dict[str, object]:
    """The inputs of the one node of that type."""
    return next(node["inputs"] for node in prompt.values() if node["class_type"] == kind)


def prepared(options: argparse.Namespace, video: str, audio: str) -> Prompt:
    """The workflow with the given files, preset and consent."""
    prompt: Prompt = json.loads(WORKFLOW.read_text())
    only(prompt, "GGTalkerLoadReferenceVideo").update(file=video, end_s=options.seconds)
    only(prompt, "LoadAudio").update(audio=audio)
    adapt = only(prompt, "GGTalkerAdaptAvatar")
    adapt.update(preset=options.preset, graph_test=options.graph_test, name=Path(video).stem)
    if options.video is not None and options.consent:
        adapt.update(consent_basis=options.basis or "written_consent", consent_statement=options.consent)
    elif options.video is not None:
        adapt.update(consent_basis="trial", consent_statement=NOT_STATED)
    return prompt


def consent_told(options: argparse.Namespace) -> str:
    """What is recorded about the person's consent."""
    if options.video is None:
        return "Consent: the sample shows a synthetic person; none is needed."
    if options.consent:
        return f"Consent, recorded in the video: {options.consent}"
    return (
        "Consent: none was stated, and the video will say so. Film only people who agreed to it; state it with\n"
        "  --consent 'WHO agreed to WHAT, WHEN'   (or the environment variable GGTALKER_CONSENT)"
    )


class Bar:
    """One line per node: name, bar, share, what it is doing."""

    def __init__(self, prompt: Prompt) -> None:
        """Show node types of `prompt` without the pack's prefix."""
        self.names = {number: node["class_type"].removeprefix("GGTalker") for number, node in prompt.items()}
        self.node, self.text, self.share = "", "", 0.0
        self.began = time.monotonic()
        self.told = self.began
        self.live = sys.stdout.isatty()

    def __call__(self, event: Event) -> None:
        """Follow the server's messages."""
        if event.kind == "executing" and event.node:
            self._finish()
            self.node, self.text, self.share, self.began = event.node, "", 0.0, time.monotonic()
        elif event.kind == "progress" and event.node == self.node and event.total:
            self.share = event.value / event.total
        elif event.kind == "text" and event.node == self.node:
            self.text = event.text.splitlines()[0][:50] if event.text else ""
        elif event.kind == "execution_success":
            self._finish()
            return
        else:
            return
        if self.live:
            print("\r" + self._line(), end="\x1b[K", flush=True)
        elif self.node and time.monotonic() - self.told > QUIET_S:
            self.told = time.monotonic()
            print(self._line(), flush=True)

    def _line(self) -> str:
        filled = round(24 * self.share)
        bar = "█" * filled + "░" * (24 - filled)
        seconds = time.monotonic() - self.began
        return f"{self.names.get(self.node, self.node):<20} {bar} {self.share:4.0%} {seconds:6.0f} s  {self.text}"

    def _finish(self) -> None:
        if self.node:
            self.share, self.text = 1.0, ""
            print(("\r" if self.live else "") + self._line() + ("\x1b[K" if self.live else ""), flush=True)
        self.node = ""


def put(file: Path, folder: Path) -> str:
    """Copy a file into ComfyUI's input folder; its name there, with a number where another file has its own."""
    if not file.is_file():
        raise SystemExit(f"There is no file {file}.")
    target, number = folder / file.name, 2
    while target.exists():
        target, number = folder / f"{file.stem}_{number}{file.suffix}", number + 1
    shutil.copyfile(file, target)
    return target.name


def result(outputs: dict[str, dict[str, object]], base: Path) -> Path:
    """The video that SaveVideo wrote."""
    for ui in outputs.values():
        for saved in ui.get("images", []):  # type: ignore[union-attr]
            path = base / saved["type"] / saved["subfolder"] / saved["filename"]
            if saved["type"] == "output" and path.suffix == ".mp4":
                return path
    raise SystemExit("The workflow ended without a video.")


def frames_of(path: Path) -> tuple[int, float]:
    """Number of frames, decoded and counted, and seconds."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        count = sum(1 for _ in container.decode(stream))
        return count, float(count / stream.average_rate)


def run(options: argparse.Namespace) -> Path:
    """Start the server, run the workflow, bring the video out."""
    video = options.video or sample("clip", ".mp4")
    audio = options.audio or sample("voice", ".wav", ".flac", ".ogg", ".mp3", ".m4a")
    options.out.mkdir(parents=True, exist_ok=True)
    runs = ROOT / ".comfyui" / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs, prefix="demo_", ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        (base / "input").mkdir()
        prompt = prepared(options, put(video, base / "input"), put(audio, base / "input"))
        print("Starting ComfyUI", flush=True)
        with ComfyServer(options.comfy, base) as server:
            began = time.monotonic()
            outcome = asyncio.run(Client(server.url).run(prompt, Bar(prompt)))
            seconds, memory = time.monotonic() - began, server.peak_memory_mib()
            target = options.out / f"{video.stem}_{audio.stem}.mp4"
            shutil.copyfile(result(outcome.outputs, base), target)
    count, length = frames_of(target)
    print(f"\n{target}\n{count} frames, {length:.2f} s of video, made in {seconds:.0f} s", end="")
    print(f", peak memory {memory:.0f} MiB" if memory else "")
    return target


def main() -> int:
    """Run; problems go to stderr in the words of the node that met them."""
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server is stopped then, too
    print(consent_told(options), flush=True)
    try:
        run(options)
    except (Refused, Failed, ServerError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (WasInterrupted, KeyboardInterrupt):
        print("\nCancelled.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
