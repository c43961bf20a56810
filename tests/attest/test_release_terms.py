import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.attest.release_terms import ReleaseTerms, Status, read_policy, read_terms
from qaudit.errors import InputError
from qaudit.files import sha256_bytes
from qaudit.policy.schema import Requires, load_policy
from qaudit.shipped import shipped_names

MADE = datetime(2026, 8, 1, 12, tzinfo=UTC)


def terms(text: str) -> ReleaseTerms:
    return read_terms(f"name: mine\nversion: 1\n{text}".encode(), "mine.yaml")


def problems(
    asked: ReleaseTerms,
    suites: dict[str, str] | None = None,
    status: Status = "pass",
    days: float = 0,
) -> list[str]:
    at = MADE + timedelta(days=days)
    return list(asked.problems(suites=suites or {}, status=status, created=MADE, at=at))


def test_reads_what_binds_a_release() -> None:
    text = (
        "requires: {refusal_n: 9, suites: {core: 2, mine: '1.4'}}\n"
        "max_report_age_days: 30\nverdicts: [pass, inconclusive]\nrules: [{id: x}]\n"
    )
    found = terms(text)
    assert (found.name, found.version, found.shown) == ("mine", "1", "mine.yaml")
    assert found.sha256 == sha256_bytes(f"name: mine\nversion: 1\n{text}".encode())
    assert found.suites == {"core": "2", "mine": "1.4"}
    assert found.max_report_age == timedelta(days=30)
    assert found.verdicts == {"pass", "inconclusive"}
    assert found.has_rules
    assert found.asks_something


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{id: x}]",
        "requires: {suites: {core: 1}}",
        "requires: {recounted: true}",
        "max_report_age_days: 1",
        "verdicts: [pass]",
    ],
)
def test_each_demand_is_something(text: str) -> None:
    assert terms(text).asks_something


def test_a_policy_may_ask_for_nothing_of_a_release() -> None:
    found = terms("requires: {refusal_n: 100}\nrules: []\n")
    assert not found.asks_something
    assert problems(found, days=10_000, status="fail") == []


@pytest.mark.parametrize(
    ("suites", "says"),
    [
        ({"core": "2"}, []),
        ({"core": "10", "other": "1"}, []),
        ({"core": "2+derived.1"}, []),
        ({"core": "1.9"}, ["the suite core is version 1.9, and 2 or newer is required"]),
        ({"core": "newest"}, ["the suite core is version newest, and 2 or newer is required"]),
        ({"other": "2"}, ["the suite core was not asked, and version 2 or newer is required"]),
    ],
)
def test_suites_have_a_least_version(suites: dict[str, str], says: list[str]) -> None:
    assert problems(terms("requires: {suites: {core: 2}}"), suites) == says


def test_a_report_grows_too_old() -> None:
    asked = terms("max_report_age_days: 30")
    assert problems(asked, days=30) == []
    (said,) = problems(asked, days=30.01)
    assert said == "the report is 30 days old (2026-08-01), and 30 are allowed"
    assert problems(asked, days=-1) == []


def test_verdicts_that_may_be_released() -> None:
    asked = terms("verdicts: [pass, inconclusive]")
    assert problems(asked, status="inconclusive") == []
    assert problems(asked, status="fail") == ["the verdict is fail, and inconclusive or pass is required"]
    assert problems(terms("verdicts: [pass]"), status="inconclusive")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_report_age_day: 30", "max_report_age_day"),
        ("max_report_age_days: 0", "max_report_age_days"),
        ("max_report_age_days: '30'", "max_report_age_days"),
        ("max_report_age_days: true", "max_report_age_days"),
        ("verdicts: [fine]", "verdicts"),
        ("verdicts: []", "verdicts"),
        ("verdicts: [fail]", "must hold pass"),
        ("requires: {suite: {core: 1}}", "requires.suite"),
        ("requires: {suites: {core: 1.5}}", "requires.suites.core"),
        ("requires: {suites: {core: newest}}", "'newest' is no version"),
        ("requires: {suites: {core: 1, core: 2}}", "twice"),
        ("rules: none", "rules"),
        ("verdicts: [pass]\nverdicts: [pass, fail]", "twice"),
    ],
)
def test_a_demand_that_is_not_understood_is_an_error(text: str, says: str) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml: not a policy") as caught:
        terms(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_terms_or_an_error(data: bytes) -> None:
    try:
        found = read_terms(data, "p")
    except InputError:
        return
    assert found.name


def test_every_policy_of_the_audit_is_understood(tmp_path: Path) -> None:
    """The rooms read the same file apart: what the one takes, the other must know."""
    for name, path in shipped_names("policies").items():
        found, policy = read_terms(path.read_bytes(), path), load_policy(path)
        assert (found.name, found.version) == (name, policy.reference.version)
        assert found.has_rules
    keys = {"suites", "recounted"}
    measured = {key: 1 for key in Requires.model_fields if key not in keys}
    path = tmp_path / "all.yaml"
    requires = json.dumps(measured | {"suites": {"core": 2}, "recounted": True})
    path.write_text(
        f"name: all\nversion: 1.0-a\nrequires: {requires}\nmax_report_age_days: 3\nverdicts: [pass]\n"
    )
    policy = load_policy(path)
    found = read_terms(path.read_bytes(), path)
    assert found.suites == {name: str(least) for name, least in policy.requires.suites.items()}
    assert found.max_report_age == timedelta(days=policy.max_report_age_days or 0)
    assert found.verdicts == set(policy.verdicts or ())
    assert found.recounted is policy.requires.recounted is True
    assert set(found.measured) == set(measured)


def test_a_shipped_policy_or_a_file(tmp_path: Path) -> None:
    assert read_policy("default") == shipped_names("policies")["default"].read_bytes()
    (tmp_path / "p.yaml").write_bytes(b"x")
    assert read_policy(tmp_path / "p.yaml") == b"x"
    with pytest.raises(InputError, match="neither a policy file nor"):
        read_policy("nosuchpolicy")
