"""Video in and out: lazy reading, grading, audio, streaming writing, and a cache of generated frames.

Nothing here imports PyAV before it is used.
"""

from .cache import CachedRgbaSource
from .config import GradeConfig, WriteConfig
from .decode import pick_frames
from .reader import open_clip
from .sound import read_audio
from .writer import WrittenVideo, write_video

__all__ = [
    "CachedRgbaSource", "GradeConfig", "WriteConfig", "WrittenVideo", "open_clip", "pick_frames", "read_audio",
    "write_video",
]  # fmt: skip
