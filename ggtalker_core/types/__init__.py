"""What travels between the stages: frozen dataclasses, checked on construction.

Conventions (docs/conventions.md): metres, radians, seconds, pixels; head axes x to the person's left, y up, z to the
viewer; camera OpenCV (x right, y down, z forward); pixel centres at +0.5; quaternions wxyz; colours sRGB in [0, 1];
frame count = ceil(audio seconds * fps), fps a Fraction.

Parameters are float32 CPU tensors unless `.to()` moved them; frames are uint8 arrays [H, W, 3].
"""

from __future__ import annotations

from .avatar import Avatar, AvatarInfo, BodyLoop, HairSway, SpeakingStyle, StageRecord
from .checks import MAP_CHANNELS, N_EXPRESSION, N_LANDMARKS
from .clip import ClipReport, ConsentRecord, FrameSource, ReferenceClip
from .drawing import Camera, Gaussians, Rendered
from .motion import MotionTrack, Track
from .sound import AudioTrack, frame_count
from .talking import RgbaFrame, RgbaSource, TalkingVideo

__all__ = [
    "AudioTrack",
    "Avatar",
    "AvatarInfo",
    "BodyLoop",
    "Camera",
    "ClipReport",
    "ConsentRecord",
    "FrameSource",
    "Gaussians",
    "HairSway",
    "MAP_CHANNELS",
    "MotionTrack",
    "N_EXPRESSION",
    "N_LANDMARKS",
    "ReferenceClip",
    "Rendered",
    "RgbaFrame",
    "RgbaSource",
    "SpeakingStyle",
    "StageRecord",
    "TalkingVideo",
    "Track",
    "frame_count",
]
