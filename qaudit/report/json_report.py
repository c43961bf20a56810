"""`report.json`: written and read through one strict schema (CONTRACT, qaudit/report/v1).

What was not measured is absent. Floats are rounded to nine significant digits, so that equal runs
give equal bytes.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from qaudit.errors import InputError, MalformedFile
from qaudit.files import read_bounded
from qaudit.values import Report

SCHEMA = "qaudit/report/v1"
SCHEMA_URL = "https://qaudit.dev/schema/report.v1.json"
MAX_REPORT_BYTES = 256 << 20
SIGNIFICANT_DIGITS = 9


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def dump(report: Report) -> str:
    """Return the JSON document: schema first, other keys in the order of the values, no nulls.

    Raises:
        ValueError: a figure is NaN or infinite; whoever measured it must have left it out.
    """
    raw = _adapter().dump_python(report, mode="json", exclude_none=True)
    ordered = {"schema": raw.pop("schema"), **raw}
    return json.dumps(_rounded(ordered), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load(path: Path) -> Report:
    """Read a report.

    Raises:
        InputError: the file cannot be read or is another schema's.
        MalformedFile: it is not JSON or does not fit the schema; the first wrong key is named.
    """
    data = read_bounded(path, MAX_REPORT_BYTES)
    try:
        raw = json.loads(data, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:200]
        raise MalformedFile(path, f"is not a JSON report ({problem})", "run the audit again") from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: schema is {schema!r}, this qaudit reads {SCHEMA!r}; run the audit again")
    try:
        # from JSON text: strict mode takes lists for tuples only there
        report = _adapter().validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise MalformedFile(path, f"{place}: {first['msg'].lower()}", "run the audit again") from error
    # plain dataclasses ignore keys that they do not have; a report with such keys is not ours
    unknown = _first_unknown(raw, _adapter().dump_python(report, mode="json"), "")
    if unknown:
        raise MalformedFile(path, f"unknown key {unknown}", "run the audit again")
    return report


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema (2020-12) of report.json."""
    schema = _closed(_adapter().json_schema(mode="validation"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URL,
        **schema,
        "title": "qaudit report, version 1",
        "required": ["schema", *schema["required"]],
    }


def _closed(schema: Any) -> Any:  # noqa: ANN401
    """Allow no further keys in any object, and no null: what was not measured is absent."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: _closed(inner) for key, inner in schema.items() if not (key == "default" and inner is None)
    }
    if "properties" in closed:
        closed["additionalProperties"] = False
    options = [o for o in closed.get("anyOf", []) if o != {"type": "null"}]
    if "anyOf" in closed and len(options) < len(closed["anyOf"]):
        del closed["anyOf"]
        # an observed value may be null in no report: dump leaves it out
        closed.update({"anyOf": options} if len(options) > 1 else options[0])
    return closed


def _first_unknown(raw: Any, known: Any, place: str) -> str:  # noqa: ANN401
    if isinstance(raw, dict) and isinstance(known, dict):
        for key, value in raw.items():
            if key not in known:
                return f"{place}{key}"
            if inner := _first_unknown(value, known[key], f"{place}{key}."):
                return inner
    if isinstance(raw, list) and isinstance(known, list):
        for index, (one, other) in enumerate(zip(raw, known, strict=False)):
            if inner := _first_unknown(one, other, f"{place}{index}."):
                return inner
    return ""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1 and len(names) < 1000:
            raise ValueError(f"key {name!r} is there twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:  # noqa: ANN401
    raise ValueError(f"{name} is not a JSON number")


def _rounded(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot stand in a report")
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return value
