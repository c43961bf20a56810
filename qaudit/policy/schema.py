"""The policy file: YAML in, a checked `Policy` out.

    name: default
    version: 1
    requires: {refusal_n: 100, category_n: 8, suites: {core: 1}}
    max_report_age_days: 180
    verdicts: [pass]
    rules:
      - {id: refusal-drop, metric: refusal.delta_ci95.0, op: ">=", value: -0.05}

The file may come from anyone: its size is bounded before it is parsed, aliases and repeated keys
are refused, and every name that means nothing is an error with the nearest one that does.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qaudit.errors import LimitExceeded, PolicyError
from qaudit.files import read_bounded, sha256_bytes
from qaudit.policy.catalogue import Kind, kind_of, known_metrics, nearest
from qaudit.shipped import shipped_names, shipped_or_file
from qaudit.strict_yaml import load_strict_yaml
from qaudit.values import PolicyRef, Status
from qaudit.version_order import has_order

POLICY_LIMIT_BYTES = 64 * 1024
MAX_RULES = 200
# a policy needs five
MAX_DEPTH = 20
ORDERINGS = (">=", "<=", "<", ">")
MEMBERSHIPS = ("in", "not_in")
OPERATORS = (*ORDERINGS, "==", "!=", *MEMBERSHIPS)
# names of results that a policy's own rules may not take
RESERVED_PREFIX = "requires-"
NO_RULES = "policy-has-no-rules"

Scalar = float | str
Count = Annotated[int, Field(ge=1, le=10_000_000)]
SuiteName = Annotated[str, Field(min_length=1, max_length=80)]
LeastVersion = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=80)]


class _Boundary(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Requires(_Boundary):
    """What must have been measured before a rule may decide anything.

    `suites` names suites that must have been asked, with the least version of each. `recounted` binds
    whoever signs and verifies: the report's figures must have been counted again from its replies.
    """

    suites: Annotated[
        dict[SuiteName, Annotated[int, Field(ge=0)] | LeastVersion], Field(max_length=MAX_RULES)
    ] = {}
    recounted: bool = False

    refusal_n: Count | None = None
    at_risk_n: Count | None = None
    category_n: Count | None = None
    suite_n: Count | None = None
    over_refusal_n: Count | None = None
    first_token_n: Count | None = None
    quality_n: Count | None = None
    mde: Annotated[float, Field(gt=0, le=1)] | None = None


class Rule(_Boundary):
    """One rule: the metric must stand in the relation `op` to `value`.

    `why` is the policy author's reason. `on_missing` says what a metric that was not measured
    makes of the rule: inconclusive, or fail; there is no way to make it pass.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    metric: Annotated[str, Field(min_length=1, max_length=300)]
    op: Annotated[str, Field(max_length=20)]
    value: int | float | str | list[int | float | str]
    why: Annotated[str, Field(max_length=1000)] | None = None
    on_missing: Literal["inconclusive", "fail"] = "inconclusive"


class _PolicyFile(_Boundary):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=80)]
    version: int | Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]*$", max_length=40)]
    requires: Requires = Requires()
    rules: Annotated[list[Rule], Field(max_length=MAX_RULES)] = []
    max_report_age_days: Count | None = None
    verdicts: Annotated[list[Status], Field(min_length=1)] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that names only what exists.

    `max_report_age_days` and `verdicts` (which may be released) bind whoever signs and verifies later.
    """

    reference: PolicyRef
    requires: Requires
    rules: tuple[Rule, ...]
    max_report_age_days: int | None = None
    verdicts: tuple[Status, ...] | None = None


def find_policy(name_or_path: str) -> Path:
    """Return the file of a shipped policy by its name, or else the path itself.

    Raises:
        PolicyError: there is neither a shipped policy nor a file of this name.
    """
    found = shipped_or_file("policies", name_or_path)
    if found is not None:
        return found
    known = shipped_names("policies")
    raise PolicyError(
        f"{name_or_path}: no such policy file, and shipped are {', '.join(known)}; "
        f"did you mean {nearest(name_or_path, known)!r}?"
    )


def load_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: it is malformed, or names an unknown key, metric or operator.
        InputError: it cannot be read.
    """
    try:
        data = read_bounded(path, POLICY_LIMIT_BYTES)
    except LimitExceeded as error:
        raise PolicyError(str(error)) from error
    return parse_policy(data, path)


def parse_policy(data: bytes, path: Path) -> Policy:
    """Check a policy's bytes.

    Args:
        data: the file.
        path: where it is from, for messages.

    Raises:
        PolicyError: it is malformed, or names an unknown key, metric or operator.
    """
    try:
        content = _PolicyFile.model_validate(_parse(data, path))
    except ValidationError as error:
        raise PolicyError(f"{path}: {_first_problem(error)}") from error
    seen: set[str] = set()
    for rule in content.rules:
        problem = _rule_problem(rule)
        if rule.id in seen:
            problem = "the id occurs twice; give each rule its own"
        if problem:
            raise PolicyError(f"{path}: rule {rule.id!r}: {problem}")
        seen.add(rule.id)
    problem = _release_problem(content)
    if problem:
        raise PolicyError(f"{path}: {problem}")
    return Policy(
        reference=PolicyRef(content.name, str(content.version), sha256_bytes(data)),
        requires=content.requires,
        rules=tuple(content.rules),
        max_report_age_days=content.max_report_age_days,
        verdicts=tuple(content.verdicts) if content.verdicts is not None else None,
    )


def _release_problem(content: _PolicyFile) -> str | None:
    for name, version in content.requires.suites.items():
        if not has_order(str(version)):
            return f"requires.suites.{name}: {version!r} cannot be ordered; write a version like 2 or 1.4"
    if content.verdicts is not None and "pass" not in content.verdicts:
        return "verdicts: does not hold pass, so nothing could ever be released; add it"
    return None


def _rule_problem(rule: Rule) -> str | None:
    if rule.id.startswith(RESERVED_PREFIX) or rule.id == NO_RULES:
        return f"ids that start with {RESERVED_PREFIX!r} are qaudit's own; name it otherwise"
    kind = kind_of(rule.metric)
    if kind is None:
        return _unknown("metric", rule.metric, known_metrics())
    if rule.op not in OPERATORS:
        return _unknown("operator", rule.op, OPERATORS)
    if rule.op in ORDERINGS and kind.name == "text":
        return f"{rule.metric!r} is text, which has no order; use ==, !=, in or not_in"
    if (rule.op in MEMBERSHIPS) is not isinstance(rule.value, list):
        return f"operator {rule.op!r} takes {'a list' if rule.op in MEMBERSHIPS else 'one value'}"
    if rule.value == []:
        return "an empty list decides nothing; list the values"
    for value in rule.value if isinstance(rule.value, list) else [rule.value]:
        problem = _value_problem(value, kind, rule.metric)
        if problem:
            return problem
    return None


def _value_problem(value: Scalar, kind: Kind, metric: str) -> str | None:
    if kind.name == "number":
        if isinstance(value, str):
            return f"{metric!r} is a number, and {value!r} is not"
        # an int of thousands of digits is not a threshold, and a float cannot hold it
        return None if abs(value) <= 1e300 and math.isfinite(value) else f"{metric!r}: value out of range"
    if not isinstance(value, str):
        return f"{metric!r} is a word, and {value!r} is a number"
    if kind.name == "ordered" and value not in kind.order:
        return _unknown(f"value of {metric!r}", value, kind.order)
    return None


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"unknown {what} {name!r}; the nearest known one is {nearest(name, known)!r}"


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    # a mistyped key is also a missing one: the typing is what to tell
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        *owner, key = first["loc"]
        model: type[BaseModel] = _PolicyFile
        if owner:
            model = Requires if owner[0] == "requires" else Rule
        where = f"{'.'.join(str(part) for part in owner)!r}: " if owner else ""
        return where + _unknown("key", str(key), model.model_fields)
    place = first["loc"]
    if place[:1] == ("rules",) and place[2:3] == ("value",) and first["type"] != "missing":
        # pydantic speaks of the first of the union's types that did not fit
        return f"{f'rules.{place[1]}.value'!r}: must be a finite number, a word or a list of these"
    return f"{'.'.join(str(part) for part in place)!r}: {first['msg']}; compare policies/default.yaml"


def _parse(data: bytes, path: Path) -> object:
    try:
        content = load_strict_yaml(data, MAX_DEPTH)
    except ValueError as error:
        raise PolicyError(f"{path}: not a YAML policy: {error}; mend it") from error
    if not isinstance(content, dict):
        raise PolicyError(f"{path}: not a YAML policy: no keys at the top; see policies/default.yaml")
    return content
