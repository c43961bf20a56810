"""Whether a report's suites are what they are called, and whether their prompts were asked.

Policies demand suites by name and version (`requires.suites`), and a name is soon written. Under a shipped
name must lie the shipped suite, and replies to a shipped suite must be to its own prompts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qaudit import __version__
from qaudit.suites.loading import load_suite, shipped_suites
from qaudit.values import Item, Report, Suite, SuiteRef
from qaudit.version_order import at_least

# replies to these are in responses.jsonl; questions of choice and texts to read leave none there
REPLIED = frozenset({"refuse", "answer"})


def misnamed_suites(report: Report) -> Iterator[str]:
    """Yield what is wrong with the suites that a report says were asked, in words for a person."""
    names = [suite.name for suite in report.suites]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"it names the suite {name} twice"
    ours = {name: load_suite(name) for name in shipped_suites() if name in names}
    for told in report.suites:
        if told.items < 1:
            yield f"no prompt of the suite {told.name} was asked, and it names the suite"
        shipped = ours.get(told.name)
        if shipped is not None:
            yield from _not_the_shipped(told, shipped, report.tool.version)


def unasked_prompts(rows: Sequence[Mapping[str, Any]], report: Report) -> Iterator[str]:
    """Yield where the rows of responses.jsonl are not replies to the suites that a report names.

    Args:
        rows: those of the file, each as an audit writes it.
        report: the report beside it, whose suites are not misnamed.
    """
    replied = {row["suite"] for row in rows}
    ours = {suite.sha256: suite for suite in map(load_suite, shipped_suites())}
    for told in report.suites:
        suite = ours.get(told.sha256)
        expects_replies = suite is not None and suite.expectation in REPLIED
        if told.name not in replied and (expects_replies or report.metrics.quality is None):
            yield f"there are no replies to the suite {told.name}"
        if suite is not None:
            yield from _other_prompts([row for row in rows if row["suite"] == told.name], suite)


def _not_the_shipped(told: SuiteRef, shipped: Suite, tool_version: str) -> Iterator[str]:
    newer = at_least(told.version, shipped.version)
    # 1 and 1.0 are one version to whoever compares them
    same_version = told.version == shipped.version or (newer and at_least(shipped.version, told.version))
    if same_version != (told.sha256 == shipped.sha256):
        yield f"its suite {told.name} {told.version} is not the one that ships with qaudit under that name"
    elif same_version and told.items > len(shipped.items):
        yield f"it says that {told.items} prompts of {told.name} were asked, which has {len(shipped.items)}"
    elif not same_version and newer and tool_version == __version__:
        yield f"its suite {told.name} has version {told.version}, and {shipped.version} is the newest"


def _other_prompts(rows: Sequence[Mapping[str, Any]], suite: Suite) -> Iterator[str]:
    left: dict[object, Item] = {item.id: item for item in suite.items}
    for row in rows:
        item = left.pop(row["id"], None)
        if item is None:
            named = ascii(row["id"])[:80]
            yield f"the reply {suite.name}/{named} is to no prompt of the suite, or there twice"
        elif (row["turns"], row["category"], row["expectation"], row["derived_from"]) != (
            list(item.turns),
            item.category,
            suite.expectation,
            suite.derived_from,
        ):
            yield f"the reply {suite.name}/{item.id} is to another prompt than the suite's"
