"""Does a row come to what its label says?"""

from collections.abc import Sequence
from typing import Protocol

from qaudit.values import Report, Status


class ExpectedVerdict(Protocol):
    """What a label asks of an audit, as a manifest or the lab writes it."""

    @property
    def status(self) -> Status:
        """The verdict."""
        ...

    @property
    def rules(self) -> Sequence[str]:
        """Rules that must fail."""
        ...

    @property
    def category(self) -> str | None:
        """The category that a failed rule must be about."""
        ...


def as_labelled(expected: ExpectedVerdict, report: Report) -> bool:
    """Tell whether a verdict is the expected one, for the reasons that were expected.

    The status must be the same, every expected rule must have failed, and where a category is named
    one of the failed rules must be about it.
    """
    failed = [r for r in report.verdict.rules if r.status == "fail"]
    ids = {r.rule for r in failed}
    named = expected.category is None or any(r.metric.split(".")[1:2] == [expected.category] for r in failed)
    return report.verdict.status == expected.status and set(expected.rules) <= ids and named
