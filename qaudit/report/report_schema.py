"""What may stand in report.json: one description, from which the JSON Schema and the reader come.

The shape is that of the dataclasses in `qaudit.values`; the bounds are below. A key whose value may
be None is one that may be left out: nothing in a report is null, what was not measured is absent.
"""

import dataclasses
import difflib
import math
import re
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from qaudit.report.wording import visible
from qaudit.values import Report

SCHEMA = "qaudit/report/v1"
SCHEMA_URL = "https://qaudit.dev/schema/report.v1.json"

Bound = Mapping[str, float | str]
_SHARE: Bound = {"minimum": 0, "maximum": 1}
_CHANGE: Bound = {"minimum": -1, "maximum": 1}
_POSITIVE: Bound = {"minimum": 0}
_DIGEST: Bound = {"pattern": "^[0-9a-f]{64}$"}
# by field name; an int field is a count and has _POSITIVE unless it is named here
_BY_NAME: Mapping[str, Bound] = {
    "rate": _SHARE,
    "flip_rate": _SHARE,
    "safety_flip_rate": _SHARE,
    "ci95": _SHARE,
    "safety_ci95": _SHARE,
    "mcnemar_p": _SHARE,
    "p_adjusted": _SHARE,
    "mde": _SHARE,
    "top1_agreement": _SHARE,
    "strict_delta": _CHANGE,
    "refusal_mass_drop": _CHANGE,
    "duration_s": _POSITIVE,
    "bits_per_weight": _POSITIVE,
    "perplexity_ratio": _POSITIVE,
    "sha256": _DIGEST,
    "created": {"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?Z$"},
    "seed": {},
}
# where the same name means something else elsewhere
_BY_FIELD: Mapping[str, Bound] = {"PairedRate.delta": _CHANGE, "PairedRate.delta_ci95": _CHANGE}


@cache
def adapter() -> TypeAdapter[Report]:
    """Return pydantic's reader and writer of a report."""
    return TypeAdapter(Report)


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema (2020-12) of report.json."""
    raw = adapter().json_schema(mode="validation")
    definitions = {name: _bounded(name, _closed(inner)) for name, inner in sorted(raw["$defs"].items())}
    report = _bounded("Report", _closed({key: value for key, value in raw.items() if key != "$defs"}))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URL,
        **report,
        "title": "qaudit report, version 1",
        "required": ["schema", *(name for name in report["required"] if name != "schema")],
        "$defs": definitions,
    }


def fitted(raw: object, kind: Any = Report, place: str = "") -> Any:  # noqa: ANN401
    """Return parsed JSON with None for what was left out, as the dataclasses want it.

    Wrong types are left to pydantic, which knows them better; keys and bounds are looked at here.

    Raises:
        ValueError: a key is unknown or a value is out of bounds; the message names the place.
    """
    kind = _without_none(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(raw, dict):
        return _fitted_object(raw, kind, place)
    if origin is dict and isinstance(raw, dict):
        return {key: fitted(value, inner[1], f"{place}{key}.") for key, value in raw.items()}
    if origin is tuple and isinstance(raw, list) and inner[-1] is Ellipsis:
        return [fitted(value, inner[0], f"{place}{index}.") for index, value in enumerate(raw)]
    return raw


def _fitted_object(raw: dict[str, Any], kind: Any, place: str) -> dict[str, Any]:  # noqa: ANN401
    hints = _hints(kind)
    for key in raw:
        if key not in hints:
            near = difflib.get_close_matches(key[:80], hints, n=1)
            hint = f", the nearest known one is {near[0]}" if near else ""
            raise ValueError(f"unknown key {place}{visible(key, 80)}{hint}")
    found: dict[str, Any] = {}
    for key, hint_of_key in hints.items():
        if key in raw:
            _check(raw[key], _bound(kind.__name__, key, hint_of_key), visible(f"{place}{key}", 200))
            found[key] = fitted(raw[key], hint_of_key, f"{place}{key}.")
        elif _may_be_none(hint_of_key):
            found[key] = None
    return found


def _check(value: object, bound: Bound, place: str) -> None:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and "pattern" in bound and not re.fullmatch(str(bound["pattern"]), one):
            raise ValueError(f"{place} is {visible(one, 80)!r}, which does not fit {bound['pattern']}")
        if isinstance(one, int | float) and not isinstance(one, bool):
            low, high = bound.get("minimum", -math.inf), bound.get("maximum", math.inf)
            if not float(low) <= one <= float(high):
                raise ValueError(f"{place} is {one:.6g}, which is not in [{low}, {high}]")


def _bound(owner: str, name: str, kind: Any) -> Bound:  # noqa: ANN401
    found = _BY_FIELD.get(f"{owner}.{name}") or _BY_NAME.get(name)
    if found is None:
        found = _POSITIVE if _without_none(kind) is int else {}
    return found


def _bounded(owner: str, schema: dict[str, Any]) -> dict[str, Any]:
    kinds = {kind.__name__: kind for kind in _dataclasses(Report)}
    if owner not in kinds:
        return schema
    for name, hint in _hints(kinds[owner]).items():
        if bound := dict(_bound(owner, name, hint)):
            target = schema["properties"][name]
            places = target["prefixItems"] if "prefixItems" in target else [target]
            for one in places:
                one.update(bound)
    return schema


def _closed(schema: Any) -> Any:  # noqa: ANN401
    """Allow no further keys, no null and no order of Python's; drop the titles made from names."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and "properties" in schema:
        nullable = {name for name, inner in schema["properties"].items() if _takes_null(inner)}
        properties = {name: _closed(inner) for name, inner in schema["properties"].items()}
        return {
            "type": "object",
            **({"description": schema["description"]} if "description" in schema else {}),
            "properties": properties,
            "required": [name for name in schema.get("required", []) if name not in nullable],
            "additionalProperties": False,
        }
    closed = {key: _closed(inner) for key, inner in schema.items() if key not in ("title", "default")}
    options = [option for option in closed.pop("anyOf", []) if option != {"type": "null"}]
    return {**closed, **({"anyOf": options} if len(options) > 1 else options[0] if options else {})}


def _takes_null(schema: dict[str, Any]) -> bool:
    return any(option.get("type") == "null" for option in schema.get("anyOf", []))


@cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401
    return get_type_hints(kind)


def _dataclasses(kind: Any) -> list[Any]:  # noqa: ANN401
    """Return the dataclasses that a type is made of."""
    found = [kind] if dataclasses.is_dataclass(kind) else []
    parts = _hints(kind).values() if found else get_args(kind)
    for part in parts:
        found += [one for one in _dataclasses(part) if one not in found]
    return found


def _may_be_none(kind: Any) -> bool:  # noqa: ANN401
    return _is_union(kind) and types.NoneType in get_args(kind)


def _without_none(kind: Any) -> Any:  # noqa: ANN401
    options = [option for option in get_args(kind) if option is not types.NoneType]
    return options[0] if _is_union(kind) and len(options) == 1 else kind


def _is_union(kind: Any) -> bool:  # noqa: ANN401
    return get_origin(kind) in (Union, types.UnionType)
