"""The one form that times have in statements and messages: UTC, whole seconds, `2026-08-01T12:00:00Z`."""

from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """Return a time in that form; one without a zone is taken to be UTC.

    By `isoformat`, as `strftime` writes the year 999 with three digits.
    """
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_utc(text: str) -> datetime:
    """Return the aware time that such a text says.

    Raises:
        ValueError: it is in another form, or no time that there is.
    """
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
