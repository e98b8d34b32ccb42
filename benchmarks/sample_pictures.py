"""The shipped sample, fitted and compared on its held-out frames: figures as JSON, pictures for the documents.

python benchmarks/sample_pictures.py     writes results/evaluate_sample_clip.json and docs/pictures/sample_*.jpg
The same as `cli evaluate` on the sample, with the pictures as JPEG; some minutes on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIP = "ggtalker_core/assets/sample/sample_clip.mp4"
KINDS = ("sheet", "closeups", "views", "plots")
_QUALITY = 85


def main() -> None:
    """Evaluate, then store."""
    from PIL import Image

    out = ROOT / "benchmarks" / "results" / "evaluate_sample_clip.json"
    shown = ROOT / "docs" / "pictures"
    shown.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ggtalker_core.cli", "evaluate", "--video", CLIP, "--json", str(out)]
        subprocess.run([*command, "--pictures", folder], cwd=ROOT, check=True)
        for kind in KINDS:
            picture = Image.open(Path(folder) / f"sample_clip.{kind}.png").convert("RGB")
            picture.save(shown / f"sample_{kind}.jpg", quality=_QUALITY, optimize=True)
    result = json.loads(out.read_text())
    result.pop("pictures", None)  # lay in a folder that is gone
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
