"""AudioToExpression: speech becomes the motion of a mouth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import convert, host, widgets, wires

if TYPE_CHECKING:
    from ..ggtalker_core.expression.prior import ExpressionPrior
    from ..ggtalker_core.head.arkit import ArkitMap
    from ..ggtalker_core.types import Avatar, MotionTrack, SpeakingStyle, Track

_EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "disgusted")  # as in expression/emotion.py
_ENGINES = ("diffusion", "regression", "rules")
BUNDLED = "bundled"
SILENT = 1e-4  # a peak that nobody hears
SHORT_S = 0.2  # a syllable


class AudioToExpression(io.ComfyNode):
    """AUDIO becomes a MotionTrack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="GGTalkerAudioToExpression",
            display_name="Audio to Expression (GGTalker)",
            category="GGTalker/speech",
            description="Turns speech in any language and voice into mouth and jaw motion, in the speaking style of "
            "the avatar.",
            search_aliases=["lip sync", "audio to face", "audio2face", "speech animation", "a2e", "lipsync"],
            inputs=[
                io.Audio.Input(
                    "audio", tooltip="The voice: any language, rate and length. The video gets exactly its length."
                ),
                wires.Avatar.Input(
                    "avatar",
                    optional=True,
                    tooltip="Whose speaking style to use: how this person rests and opens the mouth. Empty: an "
                    "average one.",
                ),
                io.Float.Input(
                    "mouth_gain",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How far the mouth moves. 1 is natural, less mumbles, more articulates.",
                ),
                io.Float.Input(
                    "jaw_gain",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How far the jaw opens, on top of mouth_gain. Closed lips stay closed.",
                ),
                io.Float.Input(
                    "smoothing",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Calms the motion; too much blurs quick lip closures.",
                ),
                widgets.seed("Another seed, another way of saying the same."),
                widgets.fps("Frames per second of the motion and of the video."),
                widgets.rare(
                    io.Float,
                    "guidance",
                    default=1.25,
                    min=0.0,
                    max=5.0,
                    step=0.05,
                    tooltip="How strictly the motion follows the audio. High values exaggerate.",
                ),
                widgets.rare(
                    io.Int,
                    "steps",
                    default=10,
                    min=1,
                    max=100,
                    tooltip="Sampling steps. More is slower and rarely visible.",
                ),
                io.Combo.Input(
                    "emotion",
                    options=list(_EMOTIONS),
                    default="neutral",
                    optional=True,
                    tooltip="A look laid over the speech: smile, frown, tension of the mouth. Made by rules, not "
                    "learnt from people; brows and eyes stay as in the avatar's clip.",
                ),
                io.Float.Input(
                    "emotion_intensity",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How strong that look is: 0 none, 1 full.",
                ),
                io.Combo.Input(
                    "engine",
                    options=list(_ENGINES),
                    default="diffusion",
                    optional=True,
                    advanced=True,
                    tooltip="How the motion is made. diffusion: the trained prior, lively. regression: its average, "
                    "the same for every seed. rules: phones heard in the voice, then fixed mouth shapes.",
                ),
                wires.Track.Input(
                    "manner_of",
                    optional=True,
                    tooltip="Speak in the manner of this tracked person: how widely, with how much jaw and lips and "
                    "how crisply, read from a few seconds of track. Empty: the avatar's own manner; without an avatar "
                    "the plain one, whose lips close a little more surely.",
                ),
                io.Combo.Input(
                    "prior",
                    options=[BUNDLED, *host.audio_priors()],
                    default=BUNDLED,
                    optional=True,
                    advanced=True,
                    tooltip="The audio prior. bundled comes with the pack; one of your own (written by `train "
                    "audio-prior`) in models/ggtalker/audio_priors appears here. It speaks in the plain manner unless "
                    "manner_of is connected.",
                ),
            ],
            outputs=[
                wires.Motion.Output(
                    "motion",
                    display_name="motion",
                    tooltip="Mouth and jaw for every frame, with the voice. Brows, gaze and head come from the avatar.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        audio: dict[str, Any],
        mouth_gain: float,
        jaw_gain: float,
        smoothing: float,
        seed: int,
        avatar: Avatar | None = None,
        fps: float = 25.0,
        guidance: float = 1.25,
        steps: int = 10,
        emotion: str = "neutral",
        emotion_intensity: float = 0.5,
        engine: str = "diffusion",
        manner_of: Track | None = None,
        prior: str = BUNDLED,
    ) -> io.NodeOutput:
        """Speak."""
        from ..ggtalker_core.expression import speak
        from ..ggtalker_core.head import load_head

        with host.job() as job:
            arkit = load_head("default" if avatar is None else avatar.head_model).arkit
            own, style = _voice_of(prior, avatar, manner_of)
            motion = speak(
                convert.to_voice(audio), prior=own, style=style, arkit=arkit,
                fps=convert.to_fps(fps), seed=seed, steps=steps, guidance=guidance, mouth_gain=mouth_gain,
                jaw_gain=jaw_gain, smoothing=smoothing, emotion=emotion, emotion_intensity=emotion_intensity,
                engine=engine, progress=job.progress,
            )  # fmt: skip
            motion = _seen(motion, avatar)
        return io.NodeOutput(motion, ui=_shown(motion, arkit))


def _voice_of(
    prior: str, avatar: Avatar | None, manner_of: Track | None
) -> tuple[ExpressionPrior | None, SpeakingStyle | None]:
    """The chosen prior (None: the bundled one) and the style that it is to speak in."""
    from ..ggtalker_core.expression import personal
    from ..ggtalker_core.expression.own import with_own_prior
    from ..ggtalker_core.head import load_head

    path = None if prior == BUNDLED else host.audio_prior(prior)
    own, style = with_own_prior(path, None if avatar is None else avatar.style)
    if manner_of is not None:
        arkit = load_head(manner_of.head_model).arkit
        style = personal.manner_of(manner_of, style, arkit=arkit, prior=own)
    return own, style


def _seen(motion: MotionTrack, avatar: Avatar | None) -> MotionTrack:
    """The motion with gaps between the lips wide enough to be seen on the avatar."""
    from ..ggtalker_core.expression.seen_lips import seen_lips
    from ..ggtalker_core.head import load_head

    return motion if avatar is None else seen_lips(motion, load_head(avatar.head_model), avatar.shape)


def _shown(motion: MotionTrack, arkit: ArkitMap | None) -> dict[str, Any] | None:
    """The curves of the motion, on the node."""
    import torch

    from ..ggtalker_core.expression.picture import motion_picture

    if arkit is None:
        return None
    text = f"{motion.count} frames, {motion.count / float(motion.fps):.2f} s at {float(motion.fps):g} frames per second"
    if motion.audio is not None and float(motion.audio.waveform.abs().max()) < SILENT:
        text += "\nThe voice is silent: the mouth stays closed. Check the file and the volume."
    elif motion.audio is not None and motion.audio.duration_s < SHORT_S:
        text += (
            f"\nThe voice lasts {float(motion.audio.duration_s):.3f} s only, too short for a syllable. Check the file."
        )
    picture = torch.from_numpy(motion_picture(motion, arkit)).float() / 255
    return convert.on_node(text, picture[None])
