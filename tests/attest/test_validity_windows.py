import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.trust import Window
from sigstore_models.common.v1 import TimeRange
from sigstore_models.trustroot.v1 import TrustedRoot

from qaudit.attest.validity_windows import KINDS, Kind, is_open, root_at

START = datetime(2025, 1, 1, tzinfo=UTC)
END = datetime(2025, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LISTS = {
    "certificate authority": "certificate_authorities",
    "certificate transparency log": "ctlogs",
    "transparency log": "tlogs",
}
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def root(**windows: Window) -> TrustedRoot:
    instance = LoopbackSigstore()
    for name, window in windows.items():
        setattr(instance.windows, name, window)
    document: dict[str, Any] = instance.trusted_root()
    instance.stop()
    return TrustedRoot.from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("moment", "counts"),
    [(START - SECOND, False), (START, True), (END, True), (END + SECOND, False)],
)
def test_both_ends_belong_to_a_window(moment: datetime, counts: bool) -> None:
    assert is_open(TimeRange(start=START, end=END), [moment]) is counts


def test_no_end_is_open_for_ever_and_no_window_always() -> None:
    late = datetime(2999, 1, 1, tzinfo=UTC)
    assert is_open(TimeRange(start=START), [late])
    assert not is_open(TimeRange(start=START), [START - SECOND])
    assert is_open(None, [late, datetime(1970, 1, 1, tzinfo=UTC)])


@given(st.lists(MOMENTS, min_size=1, max_size=4))
def test_one_moment_outside_is_enough(moments: list[datetime]) -> None:
    window = TimeRange(start=START, end=END)
    assert is_open(window, moments) == all(is_open(window, [moment]) for moment in moments)
    assert not is_open(window, [*moments, END + SECOND])


@pytest.mark.parametrize(
    ("kind", "knob"),
    [
        ("certificate authority", "authority"),
        ("certificate transparency log", "certificates_log"),
        ("transparency log", "log"),
    ],
)
def test_what_did_not_count_then_is_not_in_the_root(kind: Kind, knob: str) -> None:
    whole = root(
        **{name: Window(START) for name in ("authority", "certificates_log", "log")}
        | {knob: Window(START, END)}
    )
    then, closed = root_at(whole, [END + SECOND])
    assert getattr(then, LISTS[kind]) == []
    assert [str(c) for c in closed] == [
        f"{closed[0].name}: from 2025-01-01T00:00:00Z until 2025-06-01T00:00:00Z"
    ]
    for other in KINDS:
        if other != kind:
            assert getattr(then, LISTS[other]) == getattr(whole, LISTS[other])
            assert root_at(whole, [END + SECOND], [other]) == (whole, ())
    assert root_at(whole, [END]) == (whole, ())


def test_a_window_without_end_says_so() -> None:
    whole = root(log=Window(END))
    (closed,) = root_at(whole, [START], ["transparency log"])[1]
    assert str(closed).endswith("from 2025-06-01T00:00:00Z on")
