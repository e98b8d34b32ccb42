"""Edits on motion: gain, smoothing, blinks, frame rate, head pose, files."""

from .blink import add_blinks, blink_closure, blink_times_s
from .config import BlinkConfig, SmoothConfig
from .gain import scale_mouth
from .motion_file import load_motion, save_motion
from .pose import hold_pose, ping_pong, take_pose, to_length
from .reenact import motion_of_track
from .retime import retime
from .smooth import savitzky_golay, smooth_motion

__all__ = [
    "BlinkConfig", "SmoothConfig", "add_blinks", "blink_closure", "blink_times_s", "hold_pose", "load_motion",
    "motion_of_track", "ping_pong", "retime", "savitzky_golay", "save_motion", "scale_mouth", "smooth_motion",
    "take_pose", "to_length",
]  # fmt: skip
