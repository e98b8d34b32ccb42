"""The error family. A text says what is wrong, the value met, and what to do."""

from __future__ import annotations


class GGTalkerError(Exception):
    """Base of every error that the pack raises on purpose; its text is fit to be shown to a user."""


class InvalidInputError(GGTalkerError, ValueError):
    """A value has the wrong shape, range, type or combination."""


class UnreadableFileError(GGTalkerError):
    """A file is missing, damaged, of a kind that is not supported, or not what its name says."""


class UnsafePathError(GGTalkerError):
    """A path leaves the folders in which the pack may read or write."""


class LimitExceededError(GGTalkerError):
    """An input is larger or longer than the stated limit; checked before anything is decoded."""


class NoFaceError(GGTalkerError):
    """No face, or too few usable frames with one."""


class ConsentRequiredError(GGTalkerError):
    """An avatar was asked for without a statement of consent, or after the consent expired."""


class MissingWeightsError(GGTalkerError):
    """A weight file is missing or is not the one whose checksum is known."""


class MissingPackageError(GGTalkerError, ImportError):
    """An optional package is missing or broken; the text holds the exact command that mends it."""


class BackendUnavailableError(GGTalkerError):
    """A rasteriser or device was asked for by name and cannot be used here."""


class IncompatibleFileError(GGTalkerError):
    """A file of ours has an unknown version, misses tensors, or was made for another head."""


class Interrupted(GGTalkerError):
    """The user cancelled. Work that can be kept was kept before this was raised."""
