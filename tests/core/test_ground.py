"""Progress maps parts to the whole; an optional import fails with the command that mends it."""

import pytest

from ggtalker_core import errors
from ggtalker_core.optional import require
from ggtalker_core.progress import SubProgress


def test_sub_progress_maps_to_its_slice() -> None:
    calls: list[tuple[int, int, str]] = []
    part = SubProgress(lambda d, t, m="", p=None: calls.append((d, t, m)), 0.5, 1.0, "fit: ")
    part(1, 2, "half")
    part(2, 2)
    assert calls == [(750, 1000, "fit: half"), (1000, 1000, "fit: ")]


def test_sub_progress_lets_a_cancel_through() -> None:
    def cancel(*_: object) -> None:
        raise errors.Interrupted("stopped")

    with pytest.raises(errors.Interrupted):
        SubProgress(cancel, 0, 1)(1, 2)


def test_require_names_the_command() -> None:
    with pytest.raises(errors.MissingPackageError, match=r"-m pip install --upgrade nothing-of-that-name"):
        require("nothing_of_that_name", package="nothing-of-that-name", purpose="The test")


def test_every_error_is_one_family() -> None:
    family = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert all(issubclass(e, errors.GGTalkerError) for e in family)
