"""Settings of the tracking. Weights are in units of 1 % of the inter-ocular distance."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInputError


@dataclass(frozen=True)
class TrackConfig:
    """How a head is fitted to the landmarks of a clip."""

    n_shape: int = 60  # identity coefficients that are fitted
    keyframes: int = 32  # frames that shape and focal length are found on
    person_iterations: int = 10
    motion_iterations: int = 6
    first_focal: float = 1.7  # first guess, times the longer side of the frame
    # Weights of the data.
    lip_weight: float = 4.0
    lid_weight: float = 2.0
    outline_weight: float = 0.3  # the detector slides along the outline of a turned face
    lip_pair_weight: float = 32.0  # opening of the lips, each of nine pairs
    lid_pair_weight: float = 2.0
    robust: float = 3.0  # residual beyond which a landmark counts less
    # Of how far one lip lies behind the other where they touch in the picture, each of nine pairs. Without it a weak
    # prior of the expression closes an open jaw with pushed lips.
    touch_weight: float = 1.0
    touch_width: float = 1.0  # gap in the picture beyond which they hardly count as touching
    # Priors.
    expression_prior: float = 1.0  # per unit of standard deviation
    jaw_prior: float = 10.0  # opening, per radian squared
    jaw_side_prior: float = 100.0  # yaw and roll of the jaw
    jaw_closed_prior: float = 1e5  # a jaw that closes beyond closed
    shape_prior: float = 8.0  # per keyframe; weaker fits real landmarks a little better and true heads much worse
    focal_prior: float = 30.0  # of the logarithm, per keyframe; ten times as much leaves long lenses at the first guess
    bias_prior: float = 100.0  # of each landmark's own offset, per mm^2 and keyframe
    lip_bias_prior: float = 1000.0  # the same on the lips: an offset there would leave closed lips open
    # Smoothness between neighbouring frames; never on the jaw.
    turn_change: float = 5e4  # per radian squared; four times as much lags behind a nod by two pixels
    move_change: float = 2e6  # per metre squared
    expression_change: float = 0.5
    gaze_change: float = 30.0
    # How strongly second differences of the pose are held down at the end; 0 = not at all. With landmarks alone 1 moves
    # the hair of a lively head by two pixels from where the picture has it.
    steady: float = 0.1
    # The photometric stage (mode "full").
    photometric: bool = False
    photo_keyframes: int = 32
    photo_rounds: int = 4  # of appearance, poses and relief over the keyframes
    photo_iterations: int = 3  # of every frame
    photo_weight: float = 5.0  # of a skin sample seen from the front; a landmark counts 1
    photo_hold: float = 100.0  # of the expression as landmarks have it, per standard deviation: colours know pose best
    # Times the usual weight of the lips' landmarks, which colours must not keep ajar. Where the truth is known, five
    # times put the jaw where the mesh's errors are.
    photo_lips: float = 4.0
    # Stiffness of the static offset; 0 = no offset. Where the truth is known it made a right head wrong by 1.2 mm:
    # gloss and shadows that move over the skin look like a surface that lies too deep. 2 gains 0.3 dB on real skin.
    relief_smooth: float = 0.0
    # Finding the landmarks.
    views: int = 2  # crops of every frame whose landmarks are averaged: 1, 2 or 4
    flow: float = 50.0  # how much the motion of the picture under a landmark counts against the mesh; 0 = not at all
    habit: float = 1.0  # how much of the mesh's habit of overstating yaw is taken back; 0 for landmarks that are exact
    # Of the rotation that the mesh's depth gives, per radian squared; 0 = not at all. Landmarks know pitch with 5e4.
    # Twice as much is as good for three people and costs a fourth a third of a decibel.
    mesh_turn: float = 2e4
    # What counts as a face and as a usable clip.
    min_detection: float = 0.5
    min_presence: float = 0.5
    min_run: int = 3  # shorter stretches with a face are taken for mistakes
    worst_error: float = 8.0  # percent of the inter-ocular distance; frames fitted worse are not used
    max_lost_share: float = 0.5  # of the frames; beyond it there is no track
    min_frames: int = 8  # with a face

    def __post_init__(self) -> None:
        """Check what would fail late."""
        if self.n_shape < 0 or self.keyframes < 1 or self.person_iterations < 1 or self.motion_iterations < 1:
            raise InvalidInputError("TrackConfig: n_shape >= 0, keyframes and iterations >= 1 are needed.")
        if self.views not in (1, 2, 4) or self.flow < 0:
            raise InvalidInputError(
                f"TrackConfig: views 1, 2 or 4 and flow >= 0 are needed, got {self.views}, {self.flow}."
            )
        if not 0 < self.max_lost_share <= 1:
            raise InvalidInputError(f"TrackConfig.max_lost_share must be in (0, 1], got {self.max_lost_share}.")

    @staticmethod
    def fast() -> TrackConfig:
        """Fewer keyframes and iterations: for previews."""
        return TrackConfig(keyframes=16, person_iterations=6, motion_iterations=4, views=1)

    @staticmethod
    def full() -> TrackConfig:
        """Landmarks and skin colours."""
        return TrackConfig(photometric=True, steady=1.0)

    @staticmethod
    def thorough() -> TrackConfig:
        """Landmarks only, with more keyframes and all identity coefficients."""
        return TrackConfig(n_shape=100, keyframes=64, person_iterations=14, motion_iterations=8, views=4)

    @property
    def stages(self) -> tuple[str, ...]:
        """What is done, in order."""
        photometric = ("appearance and relief", "skin colours") if self.photometric else ()
        return ("landmarks", "person", "motion", *photometric, *(("steady",) if self.steady > 0 else ()), "gaze")

    @staticmethod
    def tiny() -> TrackConfig:
        """For tests of what comes after."""
        return TrackConfig(
            n_shape=10, keyframes=4, person_iterations=3, motion_iterations=3, views=1, flow=0.0, habit=0.0,
            mesh_turn=0.0,
        )  # fmt: skip
