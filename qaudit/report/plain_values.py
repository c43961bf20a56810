"""Frozen values as JSON: what was not measured is absent, equal values give equal bytes.

Without pydantic, which the static look need not wait for.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from qaudit.report.untrusted import encodable

SIGNIFICANT_DIGITS = 9


def document_text(value: Any) -> str:  # noqa: ANN401
    """Return a value with a `schema` as a JSON document: schema first, then its fields in order, no nulls.

    Raises:
        ValueError: a figure is NaN or infinite; whoever measured it must have left it out.
    """
    raw = plain(value)
    return to_json({"schema": raw.pop("schema"), **raw})


def to_json(document: object) -> str:
    """Return JSON as all our documents are written: indented, UTF-8, with a line break at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any, place: str = "") -> Any:  # noqa: ANN401
    """Return a value as JSON's own types: fields that are None left out, floats rounded.

    Raises:
        ValueError: a figure is NaN or infinite; `place` says where.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: plain(inner, f"{place}.{name}") for name, inner in fields if inner is not None}
    if isinstance(value, Mapping):
        return {encodable(key): plain(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner, f"{place}.{index}") for index, inner in enumerate(value)]
    if isinstance(value, str):
        # file names may hold what UTF-8 cannot
        return encodable(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{place.removeprefix('.')} is {value}, which cannot stand in a report")
        # adding zero turns -0.0 into 0.0
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0
    return value
