"""Which metrics a policy can name, and what they are in a given report.

The list is read from the type hints of `qaudit.values.Metrics`, so a new measure is known here the
moment that it exists there. A path is field names joined by dots, `0` and `1` for the ends of an
interval, and for a category or suite its name or `*` (each of them).
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args, get_origin, get_type_hints

from qaudit.values import SEVERITIES, Finding, Metrics, Regime

FINDINGS_METRIC = "findings.max_severity"
REGIME_METRIC = "regime"
NO_FINDING = "none"
EACH = "*"

Value = float | str


@dataclass(frozen=True, slots=True)
class Kind:
    """What a metric's value is; `order` lists the values of an ordered one, smallest first."""

    name: Literal["number", "ordered", "text"]
    order: tuple[str, ...] = ()


NUMBER = Kind("number")
TEXT = Kind("text")


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric of one report: its path with no `*` left, and its value or None if not measured.

    `group` is the field of `Metrics`, `member` the category or suite where there is one; `outer`
    and `inner` are the outermost and the innermost measure on the way, for intervals and counts.
    """

    path: str
    value: Value | None
    group: str
    member: str = ""
    outer: object = None
    inner: object = None


@cache
def known_metrics() -> Mapping[str, Kind]:
    """Return every path that a rule may name, with `*` for a category or suite, and its kind."""
    known = dict(_paths(Metrics))
    known[FINDINGS_METRIC] = Kind("ordered", (NO_FINDING, *SEVERITIES))
    known[REGIME_METRIC] = Kind("ordered", get_args(Regime))
    return known


def kind_of(path: str) -> Kind | None:
    """Return the kind of a metric's path, `*` or a name where there may be a name; None if unknown."""
    parts = path.split(".")
    for known, kind in known_metrics().items():
        pattern = known.split(".")
        if len(pattern) == len(parts) and all(
            (p == EACH and part) or p == part for p, part in zip(pattern, parts, strict=True)
        ):
            return kind
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like the one given."""
    return max(sorted(known), key=lambda other: difflib.SequenceMatcher(None, name, other).ratio())


def read(path: str, metrics: Metrics, findings: Sequence[Finding], regime: Regime | None) -> list[Reading]:
    """Return the values that a metric's path has in a report; `*` gives one for each name.

    Never empty: a path that leads nowhere gives one reading without a value. What `metrics` lists
    as unmeasured under a `*` is a reading without a value too.
    """
    if path == REGIME_METRIC:
        return [Reading(path, regime, path)]
    if path == FINDINGS_METRIC:
        return [Reading(path, max_severity(findings), "findings")]
    group, *rest = path.split(".")
    readings = list(_walk(getattr(metrics, group, None), tuple(rest), Reading(group, None, group)))
    if rest and rest[0] == EACH:
        for lost in metrics.unmeasured:
            lost_group, _, name = lost.partition(".")
            if lost_group == group:
                readings.append(Reading(".".join((group, name, *rest[1:])), None, group, name))
    return readings or [Reading(path, None, group)]


def max_severity(findings: Sequence[Finding]) -> str:
    """Return the gravest severity among findings, "none" without one."""
    return max((f.severity for f in findings), key=SEVERITIES.index, default=NO_FINDING)


def _paths(owner: type) -> Iterator[tuple[str, Kind]]:
    for name, hint in get_type_hints(owner).items():
        for suffix, kind in _hint_paths(hint):
            yield f"{name}{suffix}", kind


def _hint_paths(hint: object) -> Iterator[tuple[str, Kind]]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        for argument in arguments:
            if argument is not type(None):
                yield from _hint_paths(argument)
    elif hint in (float, int):
        yield "", NUMBER
    elif hint is str:
        yield "", TEXT
    elif origin is Literal:
        yield "", Kind("ordered", arguments)
    elif origin is dict:
        yield from ((f".{EACH}{suffix}", kind) for suffix, kind in _hint_paths(arguments[1]))
    elif origin is tuple and arguments == (float, float):
        yield from ((".0", NUMBER), (".1", NUMBER))
    elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield from ((f".{path}", kind) for path, kind in _paths(hint))
    # lists of examples and of names are not metrics


def _walk(value: object, parts: tuple[str, ...], so_far: Reading) -> Iterator[Reading]:
    if dataclasses.is_dataclass(value):
        so_far = replace(so_far, outer=so_far.outer or value, inner=value)
    if not parts or value is None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        found = typing.cast(Value, value) if not parts and (number or isinstance(value, str)) else None
        yield replace(so_far, path=".".join((so_far.path, *parts)), value=found)
        return
    part, *rest = parts
    for name in sorted(value) if part == EACH and isinstance(value, Mapping) else (part,):
        # a name inside a measure (a label's count) is not a category or a suite
        member = name if isinstance(value, Mapping) and so_far.outer is None else so_far.member
        inner = replace(so_far, path=f"{so_far.path}.{name}", member=member)
        yield from _walk(_step(value, name), tuple(rest), inner)


def _step(value: object, part: str) -> object:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, tuple):
        return value[int(part)] if part.isdecimal() and int(part) < len(value) else None
    return getattr(value, part, None) if dataclasses.is_dataclass(value) else None
