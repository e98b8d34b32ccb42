"""The pack's own connection types. Each carries the frozen dataclass of the same purpose from `ggtalker_core.types`."""

from __future__ import annotations

from comfy_api.latest import io

Clip = io.Custom("GGT_CLIP")  # ReferenceClip
Track = io.Custom("GGT_TRACK")  # Track
Motion = io.Custom("GGT_MOTION")  # MotionTrack
Avatar = io.Custom("GGT_AVATAR")  # Avatar
FaceLandmarks = io.Custom("FACE_LANDMARKS")  # ComfyUI's own, from its MediaPipe nodes
