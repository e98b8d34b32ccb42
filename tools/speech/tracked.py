"""Folders of videos of talking people -> training shards of real motion, in the format of corpus.py.

python tools/speech/tracked.py VIDEOS --out FOLDER [--most 100]

VIDEOS is searched through and through: HDTF (one clip per file, with its sound), CN-CVS (SET/SPEAKER/video/NAME.mp4
with SET/SPEAKER/audio/NAME.wav) or anything alike. The sound is NAME.wav beside the video or in `audio` beside a folder
`video`, else the video's own. Every clip is tracked, which takes most of the time; tracks are kept in FOLDER/tracks, so
a stopped run goes on. Clips without a face, without sound or that cannot be read are named and left out. Then mix
FOLDER with the synthetic corpus (docs/training.md).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from make_encoder import core

KINDS = {".mp4", ".mov", ".mkv", ".avi", ".mpg", ".mpeg", ".webm", ".m4v"}
PER_SHARD = 20


def videos_in(folder: Path) -> list[Path]:
    """Every video below `folder`, in order of name."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in KINDS and p.is_file())


def sound_of(video: Path) -> Path:
    """The file that holds the sound of `video`: a wav of the same name beside it or in `audio`, else itself."""
    places = [video.with_suffix(".wav")]
    if "video" in video.parts:
        at = len(video.parts) - 1 - video.parts[::-1].index("video")
        places.append(Path(*video.parts[:at], "audio", *video.parts[at + 1 :]).with_suffix(".wav"))
    return next((p for p in places if p.is_file()), video)


def tracked(video: Path, kept: Path) -> Any:
    """The track of a video, from `kept` where an earlier run left it."""
    from ggtalker_core.tracking import load_track, save_track, track_clip
    from ggtalker_core.video import open_clip

    path = kept / f"{hashlib.sha256(str(video).encode()).hexdigest()[:16]}.track.safetensors"
    if path.exists():
        return load_track(path)
    track = track_clip(open_clip(video))
    save_track(track, path)
    return track


def all_chunks(videos: list[Path], kept: Path, left_out: list[str]) -> Iterator[Any]:
    """The training chunks of every video; what could not be used is added to `left_out` in words."""
    from ggtalker_core.errors import GGTalkerError
    from ggtalker_core.expression.tracked import training_chunks
    from ggtalker_core.files import Limits
    from ggtalker_core.video import read_audio

    for i, video in enumerate(videos):
        try:
            track = tracked(video, kept)
            audio = read_audio(sound_of(video), max_seconds=Limits().max_seconds)
            chunks = training_chunks(audio, track)
        except GGTalkerError as error:
            left_out.append(f"{video}: {error}")
            continue
        if not chunks:
            left_out.append(f"{video}: no stretch of 4.6 s with a face and without a cut")
        seconds = sum(len(c.features) for c in chunks) / 25
        sys.stdout.write(f"{i + 1} of {len(videos)} {video.name}: {seconds:.0f} s\n")
        sys.stdout.flush()
        yield from chunks


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int, help="only so many videos")
    args = parser.parse_args()
    core()
    from ggtalker_core.expression.tracked import write_shard

    videos = videos_in(args.videos)[: args.most]
    kept, left_out, waiting, shards = args.out / "tracks", list[str](), list[Any](), 0
    kept.mkdir(parents=True, exist_ok=True)
    for chunk in all_chunks(videos, kept, left_out):
        waiting.append(chunk)
        if len(waiting) == PER_SHARD:
            write_shard(waiting, args.out / f"tracked{shards:04d}.safetensors")
            shards, waiting = shards + 1, []
    if waiting:
        write_shard(waiting, args.out / f"tracked{shards:04d}.safetensors")
        shards += 1
    sys.stdout.write("\n".join([f"{shards} shards in {args.out}", *(f"left out: {line}" for line in left_out), ""]))
    if not shards:
        raise SystemExit(f"nothing below {args.videos} could be used ({len(videos)} videos)")


if __name__ == "__main__":
    main()
