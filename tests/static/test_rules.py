from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.rules import MAX_EVIDENCE, MAX_LOCATION, MOST_PER_RULE, Hit, RuleBook

Hits = list[Hit]


def book() -> RuleBook[Hits]:
    made: RuleBook[Hits] = RuleBook("family", "About it.")

    @made.rule("all", "high", title="T", why="W", remedy="R", sources=("CVE-1",))
    def _all(subject: Hits) -> Iterator[Hit]:
        yield from subject

    return made


def test_a_finding_takes_what_was_declared_and_what_was_seen() -> None:
    (finding,) = book().findings([Hit("f@byte 3", "seen")])
    assert (finding.id, finding.severity, finding.title) == ("family/all", "high", "T")
    assert (finding.location, finding.evidence, finding.remedy) == ("f@byte 3", "seen", "R")
    assert finding.references == ("CVE-1",)


def test_a_hit_may_have_a_severity_of_its_own() -> None:
    assert [f.severity for f in book().findings([Hit("f", "e", "low"), Hit("g", "e")])] == ["low", "high"]


def test_nothing_seen_is_no_finding() -> None:
    assert book().findings([]) == []


def test_rules_are_listed_in_order_and_declared_once() -> None:
    made = book()

    @made.rule("second", "low", title="T", why="W", remedy="R")
    def _second(subject: Hits) -> Iterator[Hit]:
        yield from ()

    assert [rule.id for rule in made.rules] == ["family/all", "family/second"]
    assert made.rules[0].why == "W"
    with pytest.raises(ValueError, match="family/all is declared twice"):
        made.rule("all", "low", title="T", why="W", remedy="R")(lambda subject: ())


@given(st.integers(0, 5 * MOST_PER_RULE))
def test_no_rule_gives_more_than_its_share_and_the_rest_is_counted(count: int) -> None:
    findings = book().findings([Hit(f"f{number}", "e") for number in range(count)])
    assert len(findings) == min(count, MOST_PER_RULE)
    more = max(0, count - MOST_PER_RULE)
    assert ("more places" in "".join(f.evidence for f in findings)) == (more > 0)
    if more:
        assert findings[-1].evidence == f"e (and {more} more places)"


@given(st.text(max_size=3 * MAX_EVIDENCE), st.integers(1, MOST_PER_RULE + 2))
def test_evidence_and_location_are_bounded(text: str, count: int) -> None:
    for finding in book().findings([Hit(text, text)] * count):
        assert len(finding.evidence) <= MAX_EVIDENCE
        assert len(finding.location) <= MAX_LOCATION


def test_an_endless_rule_is_still_read_to_its_end_only_for_the_count() -> None:
    findings = book().findings([Hit("f", "e")] * 100_000)
    assert findings[-1].evidence == f"e (and {100_000 - MOST_PER_RULE} more places)"
