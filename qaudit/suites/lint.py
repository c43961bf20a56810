"""Suites -> problems that would bend or spoil a measurement.

An error makes `qaudit suite lint` fail; a warning asks a person to look. Near-duplicates are
measured as `qaudit.suites.similarity` says; the thresholds are `LintLimits`.

A *derived* item (tag `source:ID`, as `qaudit suite derive` writes) shares its frame with the others
and its wording with its source, so it is compared for exact repeats only, and the detail check is
left to its source.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import Literal

from qaudit.suites.detail import detail_in
from qaudit.suites.similarity import features, normalise, similar_pairs
from qaudit.values import Item, Suite

SOURCE_TAG = "source:"
LAB_PREFIX = "lab-"

# a title or id that names the topic; users who must test it import their own set
_CHILD = r"(?:child|children|minors?|underage|kids?|infants?|teens?|teenagers?)"
_SEXUAL = r"(?:sex\w*|porn\w*|exploit\w*|abus\w*|groom\w*|nud\w+|safety)"
_CHILD_CATEGORY = re.compile(
    rf"\b{_CHILD}\b.*\b{_SEXUAL}|\b{_SEXUAL}.*\b{_CHILD}\b|\bcs(?:am|ae|ea|e)\b|\bpa?edophil\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: rule `id`, the suite, the items concerned (at most 20) and what to do."""

    id: str
    severity: Literal["error", "warning"]
    suite: str
    items: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class LintLimits:
    """What counts as a problem.

    min_per_category: items that a category of a "refuse" suite needs.
    max_ratio: largest category over smallest, "refuse" suites.
    near_within, near_across: similarity from which two prompts of one suite, or of two suites, are
        near-duplicates. Across is stricter: `unseen` is there to share nothing with `core`.
    near_lab: the same for lab-* suites, whose few hundred words are put together from templates:
        there one other word among ten makes another prompt.
    near_contrast: the same between a suite to refuse and one to answer, where contrast pairs that
        differ in one word are wanted.
    imported: the suites are someone else's: what their make-up breaks is a warning.
    """

    min_per_category: int = 12
    max_ratio: float = 3.0
    near_within: float = 0.75
    near_across: float = 0.6
    near_lab: float = 0.85
    near_contrast: float = 0.9
    imported: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    suite: Suite
    item: Item
    text: str

    @property
    def derived(self) -> bool:
        return any(tag.startswith(SOURCE_TAG) for tag in self.item.tags)

    @property
    def lab(self) -> bool:
        return self.suite.name.startswith(LAB_PREFIX)


def lint(suites: Sequence[Suite], limits: LintLimits | None = None) -> list[Problem]:
    """Return the problems of the suites, each alone and all together, errors first.

    Derived suites are recognised by their items' tags; the same suite given twice is an error.
    """
    limits = limits or LintLimits()
    # a question is the same question only with the same choices
    entries = [
        _Entry(suite, item, normalise("\n".join((*item.turns, *item.choices))))
        for suite in suites
        for item in suite.items
    ]
    problems = [
        *_repeated_names(suites),
        *_repeated_ids(entries),
        *_exact(entries, limits),
        *_near(entries, limits),
    ]
    for suite in suites:
        for rule in _RULES:
            problems.extend(rule(suite, limits))
    # stable: within a severity the order in which they were found
    return sorted(problems, key=lambda problem: problem.severity != "error")


# ---- all suites together ----


def _repeated_names(suites: Sequence[Suite]) -> Iterator[Problem]:
    for name, count in Counter(suite.name for suite in suites).items():
        if count > 1:
            yield _error("suite-name", name, (), f"{count} suites are called {name}; rename all but one")


def _repeated_ids(entries: Sequence[_Entry]) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    for entry in entries:
        name, item_id = entry.suite.name, entry.item.id
        if item_id in owner:
            yield _error("id-repeated", name, (item_id,), f"the id is already in {owner[item_id]}; rename it")
        owner.setdefault(item_id, name)


def _exact(entries: Sequence[_Entry], limits: LintLimits) -> Iterator[Problem]:
    groups: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.text].append(entry)
    order = {"answer": 0, "refuse": 1}
    for group in groups.values():
        # neighbours suffice once those to answer stand next to those to refuse
        for first, second in pairwise(sorted(group, key=lambda entry: order.get(entry.suite.expectation, 2))):
            where = "" if first.suite is second.suite else f" in {first.suite.name}"
            ids = (first.item.id, second.item.id)
            if _opposed(first, second):
                message = f"the prompt of {first.item.id}{where} is to be refused and answered; remove one"
                yield _error("contradiction", second.suite.name, ids, message)
            else:
                # public sets borrow from one another
                soften = _warning if limits.imported else _error
                message = f"the same prompt as {first.item.id}{where}; remove one"
                yield soften("duplicate", second.suite.name, ids, message)


def _near(entries: Sequence[_Entry], limits: LintLimits) -> Iterator[Problem]:
    compared = [entry for entry in entries if not entry.derived]
    sets = [features(entry.text) for entry in compared]
    floor_ = min(limits.near_within, limits.near_across, limits.near_lab, limits.near_contrast)
    for i, j, alike in similar_pairs(sets, floor_):
        first, second = compared[i], compared[j]
        if first.text == second.text or alike < _near_threshold(first, second, limits):
            continue
        where = "" if first.suite is second.suite else f" in {first.suite.name}"
        severity: Literal["error", "warning"] = "error"
        if _opposed(first, second) or limits.imported:
            severity = "warning"
        yield Problem(
            "near-duplicate",
            severity,
            second.suite.name,
            (first.item.id, second.item.id),
            f"{alike:.2f} alike to {first.item.id}{where}; reword or remove one",
        )


def _near_threshold(first: _Entry, second: _Entry, limits: LintLimits) -> float:
    if first.lab or second.lab:
        return limits.near_lab
    if _opposed(first, second):
        return limits.near_contrast
    return limits.near_within if first.suite is second.suite else limits.near_across


def _opposed(first: _Entry, second: _Entry) -> bool:
    return {first.suite.expectation, second.suite.expectation} == {"refuse", "answer"}


# ---- one suite ----


def _id_prefix(suite: Suite, limits: LintLimits) -> Iterator[Problem]:
    strays = [item.id for item in suite.items if not item.id.startswith(f"{suite.name}-")]
    if strays:
        yield _error(
            "id-prefix",
            suite.name,
            strays,
            f"{len(strays)} ids do not start with '{suite.name}-'; rename them",
        )


def _balance(suite: Suite, limits: LintLimits) -> Iterator[Problem]:
    counts = Counter(item.category for item in suite.items)
    for category in suite.categories:
        if category not in counts:
            yield _error(
                "category-empty", suite.name, (), f"category {category} has no items; fill or remove it"
            )
    # variants are judged as a suite, beside the categories of their source
    if suite.expectation != "refuse" or suite.derived_from:
        return
    soften = _warning if limits.imported else _error
    for category, count in sorted(counts.items()):
        if count < limits.min_per_category:
            yield soften(
                "category-small",
                suite.name,
                (),
                f"category {category} has {count} items; {limits.min_per_category} are needed to judge it",
            )
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    if most > limits.max_ratio * least:
        yield soften(
            "category-balance",
            suite.name,
            (),
            f"category {largest} ({most} items) is over {limits.max_ratio:g} times {smallest} ({least}); "
            "even them out",
        )


def _answer_positions(suite: Suite, limits: LintLimits) -> Iterator[Problem]:
    # a model that always picks one position must score no better than chance, within half a share
    positions: dict[int, Counter[int]] = defaultdict(Counter)
    for item in suite.items:
        if item.answer is not None:
            positions[len(item.choices)][item.answer] += 1
    for width, counts in sorted(positions.items()):
        share = counts.total() / width
        low, high = floor(0.5 * share), ceil(1.5 * share)
        for position in range(width):
            if not low <= counts[position] <= high:
                yield _error(
                    "answer-position",
                    suite.name,
                    (),
                    f"{counts[position]} of {counts.total()} items with {width} choices have answer "
                    f"{position}; shuffle the choices so that each has {low} to {high}",
                )


def _detail(suite: Suite, limits: LintLimits) -> Iterator[Problem]:
    if suite.expectation != "refuse":
        return
    for item in suite.items:
        if any(tag.startswith(SOURCE_TAG) for tag in item.tags):
            continue
        found = detail_in("\n".join(item.turns))
        if found:
            yield _warning(
                "operational-detail",
                suite.name,
                (item.id,),
                f"it holds {found}; ask in general terms instead",
            )


def _child_safety(suite: Suite, limits: LintLimits) -> Iterator[Problem]:
    if suite.expectation != "refuse":
        return
    soften = _warning if limits.imported else _error
    for category, title in suite.categories.items():
        if any(_CHILD_CATEGORY.search(normalise(text)) for text in (category, title)):
            yield soften(
                "child-category",
                suite.name,
                [item.id for item in suite.items if item.category == category],
                f"category {category} is about the sexual exploitation of children; "
                "qaudit ships no such prompts",
            )


_RULES: tuple[Callable[[Suite, LintLimits], Iterator[Problem]], ...] = (
    _id_prefix,
    _balance,
    _answer_positions,
    _detail,
    _child_safety,
)


def _error(rule: str, suite: str, items: Sequence[str], message: str) -> Problem:
    return Problem(rule, "error", suite, tuple(items[:20]), message)


def _warning(rule: str, suite: str, items: Sequence[str], message: str) -> Problem:
    return Problem(rule, "warning", suite, tuple(items[:20]), message)
