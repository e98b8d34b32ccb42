"""What a marked video says of itself: manifest, file tags, and a store of manifests that outlives stripped files."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import IncompatibleFileError, InvalidInputError, UnreadableFileError
from ..types import Avatar, ConsentRecord
from .payload import ID_PATTERN, check_watermark_id

FORMAT_VERSION = 1
GENERATOR = "GGTalker for ComfyUI"
# IPTC news codes: a rendered head inside the person's own filmed body and background; a pure render.
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
TAG_MANIFEST, TAG_ID, TAG_AIGC = "ggtalker_manifest", "ggtalker_watermark_id", "AIGC"
TAG_SOURCE_TYPE, TAG_COMMENT = "digital_source_type", "comment"
_LARGEST_BYTES = 64 * 1024
_MOST_RECORDS = 1000


@dataclass(frozen=True)
class Manifest:
    """The record of one marked video. All fields are plain text, so that it reads the same everywhere."""

    watermark_id: str  # 16 hex digits; names the record even where the invisible mark is off
    invisible: str  # "on", or why not: "turned off by the user"
    visible: str  # the wording of the label, or "none"
    created: str  # ISO 8601, UTC
    generator: str = GENERATOR
    pack_version: str = __version__
    digital_source_type: str = COMPOSITE
    avatar_name: str = ""
    avatar_sha256: str = ""
    clip_sha256: str = ""
    consent: ConsentRecord | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, with the format's name and version."""
        return {"format": "ggtalker.manifest", "format_version": FORMAT_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest from untrusted text. Raises IncompatibleFileError when it is not one."""
        return _parse(text)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def tags(self) -> dict[str, str]:
        """Tags for the file: the manifest, plain copies for readers who do not know us, the Chinese AIGC record."""
        label = "AI-generated video" if self.digital_source_type == GENERATED else "Video with an AI-generated head"
        return {
            TAG_MANIFEST: self.to_json(),
            TAG_ID: self.watermark_id,
            TAG_SOURCE_TYPE: self.digital_source_type,
            TAG_AIGC: json.dumps(self.aigc(), ensure_ascii=False, separators=(",", ":")),
            TAG_COMMENT: f"{label}, made with {self.generator} {self.pack_version} on {self.created}; "
            f"id {self.watermark_id}; invisible watermark: {self.invisible}; visible label: {self.visible}",
        }

    def aigc(self) -> dict[str, str]:
        """The fields of GB 45438-2025; Label 1 = generated content. The reserved codes hold the record's hash."""
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()
        return {
            "Label": "1", "ContentProducer": self.generator, "ProduceID": self.watermark_id, "ReservedCode1": digest,
            "ContentPropagator": "", "PropagateID": "", "ReservedCode2": "",
        }  # fmt: skip


def now_utc() -> str:
    """The present second, ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0).isoformat()


def avatar_sha256(avatar: Avatar) -> str:
    """A fingerprint of what an avatar looks like: its map, head shape and offsets."""
    digest = hashlib.sha256(avatar.head_model.encode())
    for tensor in (avatar.shape, avatar.offset_m, avatar.gaussian_map):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _parse(text: str) -> Manifest:
    if len(text) > _LARGEST_BYTES:
        raise IncompatibleFileError(
            f"A manifest of {len(text)} characters is larger than the {_LARGEST_BYTES} allowed."
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise IncompatibleFileError(f"The manifest is not JSON ({error}).") from error
    return manifest_of(data)


def manifest_of(data: object) -> Manifest:
    """A manifest from parsed JSON of unknown origin. Raises IncompatibleFileError when it is not one."""
    if not isinstance(data, Mapping) or data.get("format") != "ggtalker.manifest":
        raise IncompatibleFileError("This is not a manifest of GGTalker.")
    if data.get("format_version") != FORMAT_VERSION:
        raise IncompatibleFileError(
            f"The manifest has format version {str(data.get('format_version'))[:20]}; this pack reads {FORMAT_VERSION}."
        )
    names = [f.name for f in dataclasses.fields(Manifest) if f.name != "consent"]
    values = {name: data[name] for name in names if name in data}
    if not all(isinstance(value, str) for value in values.values()) or not ID_PATTERN.fullmatch(
        str(values.get("watermark_id", ""))
    ):
        raise IncompatibleFileError("The manifest's fields are not text, or its watermark id is malformed.")
    try:
        return Manifest(**values, consent=_consent_of(data.get("consent")))
    except TypeError as error:
        raise IncompatibleFileError(f"The manifest lacks fields ({error}).") from error


def _consent_of(data: object) -> ConsentRecord | None:
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise IncompatibleFileError("The manifest's consent record is malformed.")
    fields = {f.name: data.get(f.name) for f in dataclasses.fields(ConsentRecord)}
    required = [fields[name] for name in ("basis", "statement", "date")]
    if not all(isinstance(v, str) for v in required) or not isinstance(fields["expires"], str | None):
        raise IncompatibleFileError("The manifest's consent record is malformed.")
    return ConsentRecord(**fields)  # type: ignore[arg-type]


class ManifestStore:
    """A folder of records, one JSON-lines file per id: brings a video's history back when its tags were stripped."""

    def __init__(self, folder: Path):
        """`folder` is made when first written to."""
        self.folder = Path(folder)

    def _path(self, watermark_id: str) -> Path:
        return self.folder / f"{check_watermark_id(watermark_id)}.jsonl"

    def put(self, manifest: Manifest) -> Path:
        """Add a record; the file is replaced as a whole, so it is never half written."""
        path = self._path(manifest.watermark_id)
        kept = [m.to_json() for m in self.all(manifest.watermark_id)][-(_MOST_RECORDS - 1) :]
        partial = self.folder / f".{manifest.watermark_id}.{uuid.uuid4().hex[:8]}.partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_text("\n".join([*kept, manifest.to_json()]) + "\n", encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise UnreadableFileError(
                f"The record of the video could not be written to {self.folder} ({error.strerror}). Check the free "
                "space and the permissions."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
        return path

    def all(self, watermark_id: str) -> list[Manifest]:
        """Every readable record of an id, oldest first; lines that are no manifest of that id are passed over."""
        path = self._path(watermark_id)
        if not path.is_file() or path.stat().st_size > _MOST_RECORDS * _LARGEST_BYTES:
            return []
        found = list[Manifest]()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                manifest = Manifest.from_json(line)
            except IncompatibleFileError:
                continue
            if manifest.watermark_id == watermark_id:
                found.append(manifest)
        return found

    def get(self, watermark_id: str) -> Manifest | None:
        """The newest record of an id, or None. Raises InvalidInputError for a malformed id."""
        records = self.all(watermark_id)
        return records[-1] if records else None


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise InvalidInputError for tags that a file could not carry."""
    for name, value in tags.items():
        if "\0" in value or len(value) > _LARGEST_BYTES:
            raise InvalidInputError(
                f"The tag {name[:40]!r} holds a zero byte or more than {_LARGEST_BYTES} characters."
            )
