"""`report.json`: written and read through one strict schema (CONTRACT, qaudit/report/v1).

What was not measured is absent. Floats are rounded to nine significant digits, so that equal runs
give equal bytes. Reading is strict: what this schema does not know is an error that names it.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qaudit.errors import InputError, MalformedFile
from qaudit.files import read_bounded
from qaudit.report.report_schema import SCHEMA, adapter, fitted
from qaudit.report.wording import visible, without_surrogates
from qaudit.values import Report

MAX_REPORT_BYTES = 256 << 20
SIGNIFICANT_DIGITS = 9
REMEDY = "run the audit again"


def dump(report: Report) -> str:
    """Return the JSON document: schema first, other keys in the order of the values, no nulls.

    Raises:
        ValueError: a figure is NaN or infinite; whoever measured it must have left it out.
    """
    # "python", as pydantic's JSON mode refuses a file name that is not Unicode
    raw = adapter().dump_python(report, mode="python", exclude_none=True)
    ordered = {"schema": raw.pop("schema"), **raw}
    return json.dumps(_storable(ordered, ""), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load(path: Path) -> Report:
    """Read a report.

    Raises:
        InputError: the file cannot be read or is another schema's.
        MalformedFile: it is not JSON or does not fit the schema; the first wrong key is named.
    """
    data = read_bounded(path, MAX_REPORT_BYTES)
    try:
        raw = json.loads(
            data, object_pairs_hook=_strict_object, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise MalformedFile(path, f"is not a JSON report ({_one_line(error)})", REMEDY) from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema != SCHEMA:
        said = visible(schema, 80) if isinstance(schema, str) else "missing"
        raise InputError(f"{path}: schema is {said!r}, this qaudit reads {SCHEMA!r}; {REMEDY}")
    try:
        # as JSON text: strict mode takes lists for tuples only from there
        return adapter().validate_json(json.dumps(fitted(raw)), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise MalformedFile(path, f"{visible(place, 200)}: {first['msg'].lower()}", REMEDY) from error
    except ValueError as error:
        raise MalformedFile(path, _one_line(error), REMEDY) from error


def _one_line(error: BaseException) -> str:
    return visible(" ".join(str(error).split()), 300)


def _strict_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"key {name[:80]!r} is there twice")
        if value is None:
            raise ValueError(f"key {name[:80]!r} is null; what was not measured is left out")
        found[name] = value
    return found


def _no_constant(name: str) -> Any:  # noqa: ANN401
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is out of the range of a number")
    return value


def _storable(value: Any, place: str) -> Any:  # noqa: ANN401
    """Round floats and take from text what UTF-8 cannot hold (file names may have it)."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{place} is {value}, which cannot stand in a report")
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, Mapping):
        return {
            without_surrogates(key): _storable(inner, f"{place}.{key}" if place else key)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_storable(inner, f"{place}.{index}") for index, inner in enumerate(value)]
    return value
