"""`report.json`: written and read through one strict schema (CONTRACT, qaudit/report/v1).

What was not measured is absent. Floats are rounded to nine significant digits, so that equal runs
give equal bytes.
"""

import dataclasses
import difflib
import json
import re
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from qaudit.errors import InputError, MalformedFile
from qaudit.files import read_bounded
from qaudit.report.plain_values import document_text
from qaudit.report.report_schema import BOUNDS, SCHEMA
from qaudit.report.untrusted import one_line
from qaudit.strict_json import load_strict
from qaudit.values import Report

# every prompt and reply, beside the report
RESPONSES = "responses.jsonl"

MAX_REPORT_BYTES = 64 << 20
REMEDY = "run the audit again"


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def dump(report: Report) -> str:
    """Return the JSON document: schema first, other keys in the order of the values, no nulls.

    Raises:
        ValueError: a figure is NaN or infinite; whoever measured it must have left it out.
    """
    return document_text(report)


def load(path: Path) -> Report:
    """Read a report.

    Raises:
        InputError: the file cannot be read or is another schema's.
        MalformedFile: it is not JSON or does not fit the schema; the first wrong key is named.
    """
    return parse_report(read_bounded(path, MAX_REPORT_BYTES), path)


def parse_report(data: bytes, path: Path) -> Report:
    """Read a report from its bytes.

    Args:
        data: the document.
        path: where it is from, for messages.

    Raises:
        InputError: it is another schema's.
        MalformedFile: it is not JSON or does not fit the schema; the first wrong key is named.
    """
    try:
        raw = load_strict(data)
    except ValueError as error:
        raise MalformedFile(path, f"is not a JSON report ({_told(error)})", REMEDY) from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema != SCHEMA:
        said = one_line(schema, 80) if isinstance(schema, str) else "missing"
        raise InputError(f"{path}: schema is {said!r}, this qaudit reads {SCHEMA!r}; {REMEDY}")
    try:
        completed = _completed(raw, Report, "")
        # from JSON text: strict mode takes lists for tuples only there
        return _adapter().validate_json(json.dumps(completed), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = one_line(".".join(str(part) for part in first["loc"]), 200) or "the document"
        raise MalformedFile(path, f"{place}: {first['msg'].lower()}", REMEDY) from error
    except ValueError as error:
        raise MalformedFile(path, _told(error), REMEDY) from error


def _told(error: BaseException) -> str:
    return one_line(" ".join(str(error).split()), 300)


def _completed(raw: Any, hint: Any, place: str) -> Any:  # noqa: ANN401
    """Return raw JSON with None for the optional keys that it leaves out.

    Raises:
        ValueError: a key is unknown, a null stands somewhere, or a figure is out of bounds.
    """
    if raw is None:
        raise ValueError(f"{place} is null, but what was not measured is left out")
    if get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in get_args(hint) if option is not type(None)]
        return _completed(raw, options[0], place) if len(options) == 1 else raw
    if dataclasses.is_dataclass(hint) and isinstance(raw, dict):
        return _completed_object(raw, typing.cast(type, hint), place)
    if get_origin(hint) is tuple and isinstance(raw, list):
        inner = get_args(hint)[0]
        return [_completed(one, inner, f"{place}.{index}") for index, one in enumerate(raw)]
    if get_origin(hint) is dict and isinstance(raw, dict):
        inner = get_args(hint)[1]
        return {key: _completed(one, inner, f"{place}.{key[:100]}") for key, one in raw.items()}
    return raw


def _completed_object(raw: dict[str, Any], owner: type, place: str) -> dict[str, Any]:
    hints = _hints(owner)
    start = f"{place}." if place else ""
    unknown = next((key for key in raw if key not in hints), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown[:80], hints, n=1)
        hint = f", the nearest known one is {near[0]}" if near else ""
        raise ValueError(f"unknown key {start}{one_line(unknown, 100)}{hint}")
    completed: dict[str, Any] = {}
    for name, hint in hints.items():
        if name in raw:
            _check_bounds(raw[name], owner.__name__, name, f"{start}{name}")
            completed[name] = _completed(raw[name], hint, f"{start}{name}")
        elif type(None) in get_args(hint):
            completed[name] = None
    return completed


def _check_bounds(value: Any, owner: str, name: str, place: str) -> None:  # noqa: ANN401
    bound = BOUNDS.get(owner, {}).get(name)
    if bound is None:
        return
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, int | float) and not isinstance(one, bool):
            if bound.least is not None and one < bound.least:
                raise ValueError(f"{place} is {str(one)[:40]}, less than {bound.least:g}")
            if bound.most is not None and one > bound.most:
                raise ValueError(f"{place} is {str(one)[:40]}, more than {bound.most:g}")
        # fullmatch: `$` would let a line break pass at the end
        if bound.pattern and isinstance(one, str) and not re.fullmatch(bound.pattern, one):
            raise ValueError(f"{place} is {one[:100]!r}, which is not of the form {bound.pattern}")


@cache
def _hints(owner: type) -> dict[str, Any]:
    return get_type_hints(owner)
