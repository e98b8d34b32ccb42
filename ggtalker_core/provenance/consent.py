"""Consent: who agreed to what, and until when."""

from __future__ import annotations

import datetime

from ..errors import ConsentRequiredError
from ..types import ConsentRecord

BASES = {
    "self": "the person in the clip is the one who states it",
    "written_consent": "the person in the clip agreed in writing",
    "licensed_dataset": "the clip comes from a data set whose licence allows it",
    "synthetic_person": "the person in the clip does not exist",
    "trial": "nobody has stated consent: all marks stay on, and the avatar speaks no longer than until the next day",
}
TRIAL = "trial"
_TRIAL_DAYS = 1
_LONGEST_STATEMENT = 4000
_HOW = (
    "Fill in the consent of the person in the clip: basis ("
    + ", ".join(basis for basis in BASES if basis != TRIAL)
    + "), a statement in words, and the day as YYYY-MM-DD."
)


def _day(text: str, what: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ConsentRequiredError(
            f"The consent's {what} {str(text)[:40]!r} is not a day as YYYY-MM-DD. {_HOW}"
        ) from error


def trial_consent(how: str) -> ConsentRecord:
    """The honest record where nothing was stated: it says so, and ends on the next day. `how`: what was done."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    ends = today + datetime.timedelta(days=_TRIAL_DAYS)
    return ConsentRecord(TRIAL, f"No consent was stated: {how}", today.isoformat(), ends.isoformat())


def is_trial(record: ConsentRecord | None) -> bool:
    """Whether nobody has stated consent."""
    return record is not None and record.basis == TRIAL


def check_consent(record: ConsentRecord | None, today: datetime.date | None = None) -> ConsentRecord:
    """The record itself when it holds today.

    Raises:
        ConsentRequiredError: none was given, it is incomplete, dated in the future, or has expired.
    """
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    if record is None:
        raise ConsentRequiredError(f"An avatar needs a statement of consent; none was given. {_HOW}")
    if record.basis not in BASES:
        raise ConsentRequiredError(f"Unknown basis of consent {str(record.basis)[:40]!r}. {_HOW}")
    length = len(record.statement.strip())
    if not 1 <= length <= _LONGEST_STATEMENT:
        raise ConsentRequiredError(
            f"The consent's statement must have 1 to {_LONGEST_STATEMENT} characters, got {length}. {_HOW}"
        )
    given = _day(record.date, "date")
    if given > today + datetime.timedelta(days=1):  # a day of grace for time zones
        raise ConsentRequiredError(f"The consent is dated {record.date}, which is in the future. {_HOW}")
    if is_trial(record) and (
        not record.expires or _day(record.expires, "expiry") > given + datetime.timedelta(days=_TRIAL_DAYS)
    ):
        raise ConsentRequiredError(f"A trial without consent ends on the day after it began. {_HOW}")
    if record.expires:
        end = _day(record.expires, "expiry")
        if end < today:
            raise ConsentRequiredError(
                f"The consent expired on {record.expires}. Ask the person again, and state the new consent when the "
                "avatar is made or loaded."
            )
    return record


def check_unmarked(record: ConsentRecord | None) -> ConsentRecord:
    """As `check_consent`, for what leaves without label and watermark: a trial, whose marks must stay, is refused too.

    Raises ConsentRequiredError.
    """
    if is_trial(record):
        raise ConsentRequiredError(
            f"This avatar is a trial: nobody has stated consent, and a splat carries no marks. {_HOW}"
        )
    return check_consent(record)
