"""Reading the marks back from a file, and saying plainly what they prove."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import IncompatibleFileError
from ..files import Limits
from .config import PUBLIC_KEY, SearchConfig
from .detect import Finding, Reader
from .manifest import TAG_AIGC, TAG_COMMENT, TAG_ID, TAG_MANIFEST, TAG_SOURCE_TYPE, Manifest, ManifestStore
from .read import read_sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KNOWN_TAGS = (TAG_ID, TAG_SOURCE_TYPE, TAG_AIGC, TAG_COMMENT, TAG_MANIFEST)


@dataclass(frozen=True)
class VerifyReport:
    """What was found in the pixels, in the file's tags, and in the store of records."""

    name: str
    found: bool  # an id was read from the pixels
    watermark_id: str | None
    confidence: float  # 0 when nothing was found; else how much of the coded bits agreed, 1 = all
    finding: Finding
    metadata: dict[str, str]  # the provenance tags of the file, as they stand there
    manifest: Manifest | None
    manifest_from: str  # "file", "store" or "nowhere"
    label: str | None  # wording of the visible label according to the manifest; pixels are not searched for it
    problems: tuple[str, ...]  # contradictions, in sentences

    @property
    def state(self) -> str:
        """One of: marked, recovered, marked_unknown, declared_only, contradiction, nothing."""
        if self.problems:
            return "contradiction"
        if self.found:
            return {"file": "marked", "store": "recovered"}.get(self.manifest_from, "marked_unknown")
        return "declared_only" if self.metadata or self.manifest else "nothing"

    def text(self) -> str:
        """The report for a person."""
        finding = self.finding
        lines = [f"{self.name}: {_STATES[self.state]}"]
        if self.found:
            lines.append(
                f"Invisible watermark: {self.watermark_id} (agreement of coded bits {finding.agreement:.1%}, "
                f"chance of a false find at most {finding.false_positive_bound:.0e})"
            )
        else:
            lines.append(
                f"Invisible watermark: none found with this key in {finding.frames} frames. That proves nothing: "
                "it may have been removed, destroyed by strong compression, or written with another key."
            )
        if self.manifest is not None:
            lines += _manifest_lines(self.manifest, self.manifest_from)
        elif self.metadata:
            lines += [f"Tag {name}: {value[:200]}" for name, value in self.metadata.items()]
        else:
            lines.append("Tags: none that speak of provenance.")
        lines += [f"Contradiction: {problem}" for problem in self.problems]
        lines.append("Tags and marks of the public key can be forged by anybody; they inform, they do not prove.")
        return "\n".join(lines)

    def to_json(self) -> str:
        """The report as one JSON object."""
        data = dataclasses.asdict(self)
        data["state"] = self.state
        data["false_positive_bound"] = self.finding.false_positive_bound
        data["manifest"] = self.manifest.to_dict() if self.manifest else None
        return json.dumps(data, ensure_ascii=False, indent=1, default=float)


_STATES = {
    "marked": "marked as synthetic; pixels and manifest agree.",
    "recovered": "marked as synthetic; the file's manifest is gone and was recovered from the store by the pixels.",
    "marked_unknown": "marked as synthetic; no manifest is known for the id.",
    "declared_only": "declared synthetic by its tags only; the pixels carry no readable mark.",
    "contradiction": "the marks contradict each other.",
    "nothing": "nothing found.",
}


def _manifest_lines(manifest: Manifest, source: str) -> list[str]:
    lines = [
        f"Manifest (from the {source}): made {manifest.created} with {manifest.generator} {manifest.pack_version}",
        f"  invisible watermark {manifest.invisible}; visible label: {manifest.visible}",
        f"  source type {manifest.digital_source_type.rsplit('/', 1)[-1]}",
    ]
    if manifest.avatar_name or manifest.avatar_sha256:
        lines.append(
            f"  avatar {manifest.avatar_name!r} {manifest.avatar_sha256[:16]}, clip {manifest.clip_sha256[:16]}"
        )
    if manifest.consent is not None:
        consent = manifest.consent
        until = f", until {consent.expires}" if consent.expires else ""
        lines.append(f"  consent: {consent.basis}, {consent.date}{until}: {consent.statement[:200]}")
    return lines


def verify(
    path: str | Path,
    *,
    key: str = PUBLIC_KEY,
    store: Path | None = None,
    search: SearchConfig | None = None,
    limits: Limits | None = None,
) -> VerifyReport:
    """Look for mark and manifest in a video or image file.

    Args:
        path: mp4, mov, mkv, webm, avi, gif, png, jpg or webp; where it may lie is the caller's matter.
        key: of the invisible mark.
        store: folder of records kept by `mark`, for files whose tags were stripped.
        search: how hard to look.
        limits: the largest file taken.

    Raises:
        UnreadableFileError, LimitExceededError: the file cannot be looked at.
    """
    search = search or SearchConfig()
    sample = read_sample(path, search.frames, limits)
    return _report(Path(path).name, Reader(key, search).read(sample.frames), sample.tags, store)


def verify_frames(
    frames: Iterable[NDArray[np.uint8]], *, key: str = PUBLIC_KEY, store: Path | None = None,
    search: SearchConfig | None = None, name: str = "frames",
) -> VerifyReport:  # fmt: skip
    """As `verify`, for frames [H, W, 3] of one clip that are already at hand."""
    return _report(name, Reader(key, search).read(frames), {}, store)


def _report(name: str, finding: Finding, tags: dict[str, str], store: Path | None) -> VerifyReport:
    metadata = {k: v for k, v in tags.items() if k in _KNOWN_TAGS or "AIGC" in k}
    problems = list[str]()
    manifest: Manifest | None = None
    source = "nowhere"
    if TAG_MANIFEST in tags:
        try:
            manifest, source = Manifest.from_json(tags[TAG_MANIFEST]), "file"
        except IncompatibleFileError as error:
            problems.append(f"The file's manifest cannot be read: {error}")
    found = finding.watermark_id
    if manifest is not None and found is not None and manifest.watermark_id != found:
        problems.append(f"The pixels carry the id {found}, the file's manifest speaks of {manifest.watermark_id}.")
    if manifest is None and store is not None and found is not None:
        manifest = ManifestStore(store).get(found)
        source = "store" if manifest is not None else "nowhere"
    return VerifyReport(
        name=name, found=found is not None, watermark_id=found,
        confidence=max(0.0, 2 * finding.agreement - 1) if found is not None else 0.0,
        finding=finding, metadata=metadata, manifest=manifest, manifest_from=source,
        label=manifest.visible if manifest is not None else None, problems=tuple(problems),
    )  # fmt: skip
