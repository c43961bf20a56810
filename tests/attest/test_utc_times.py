from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.attest.utc_times import parse_utc, utc_text


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_can_be_read_back_to_the_second(moment: datetime) -> None:
    text = utc_text(moment)
    assert len(text) == len("2026-08-01T12:00:00Z")
    assert parse_utc(text) == moment.replace(microsecond=0)


def test_other_zones_are_turned_into_utc_and_none_is_utc() -> None:
    east = datetime(2026, 8, 1, 14, 0, 0, 900, tzinfo=timezone(timedelta(hours=2)))
    assert utc_text(east) == "2026-08-01T12:00:00Z" == utc_text(datetime(2026, 8, 1, 12, 0, 0))
    assert utc_text(datetime(999, 1, 1, tzinfo=UTC)) == "0999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text", ["", "2026-02-30T00:00:00Z", "2026-08-01T12:00:00+00:00", "2026-08-01 12:00:00Z"]
)
def test_other_forms_and_days_that_are_not_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time data|day is out of range"):
        parse_utc(text)
