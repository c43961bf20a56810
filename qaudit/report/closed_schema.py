"""The JSON Schema of a frozen value: its shape from the types, the bounds of its fields from a table.

No object takes further keys, null stands nowhere (what was not measured is absent), and figures keep
within their bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

# beyond this, readers that hold numbers as doubles no longer count right
EXACT = 2**53 - 1
HEX_SHA256 = r"^[0-9a-f]{64}$"
UTC_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|\+00:00)$"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a field means and which values it, or each member of it, may have."""

    meaning: str = ""
    least: float | None = None
    most: float | None = None
    pattern: str | None = None

    def keywords(self) -> dict[str, Any]:
        """Return the JSON Schema keywords of this bound."""
        named = {
            "description": self.meaning or None,
            "minimum": self.least,
            "maximum": self.most,
            "pattern": self.pattern,
        }
        return {key: value for key, value in named.items() if value is not None}


def count(meaning: str = "") -> Bound:
    """Return the bound of a number of things."""
    return Bound(meaning, least=0, most=EXACT)


def share(meaning: str = "") -> Bound:
    """Return the bound of a fraction."""
    return Bound(meaning, least=0, most=1)


def change(meaning: str = "") -> Bound:
    """Return the bound of a difference of fractions."""
    return Bound(meaning, least=-1, most=1)


Bounds = Mapping[str, Mapping[str, Bound]]


def value_schema(value: type, bounds: Bounds, url: str, title: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of documents that hold a value.

    Args:
        value: the frozen dataclass.
        bounds: by class, then by field; a field that is not there may hold whatever its type allows.
        url: where the schema is published.
        title: what the document is called.
    """
    schema = _closed(TypeAdapter(value).json_schema(mode="validation"), bounds)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": url,
        **schema,
        "title": title,
    }


def _closed(schema: Any, bounds: Bounds) -> Any:  # noqa: ANN401
    """Allow no further keys in any object, no null anywhere, and only figures within their bounds."""
    if isinstance(schema, list):
        return [_closed(inner, bounds) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: _closed(inner, bounds)
        for key, inner in schema.items()
        if not (key == "default" and inner is None)
    }
    if isinstance(closed.get("properties"), dict):
        _close_object(schema, closed, bounds)
    options = [option for option in closed.get("anyOf", []) if option != {"type": "null"}]
    if len(options) < len(closed.get("anyOf", [])):
        # what was not measured is absent, so null stands nowhere
        del closed["anyOf"]
        closed.update({"anyOf": options} if len(options) > 1 else options[0])
    if "description" in closed:
        closed["description"] = " ".join(closed["description"].split())
    return closed


def _bind(field: dict[str, Any], keywords: dict[str, Any]) -> None:
    meaning = {"description": keywords.pop("description")} if "description" in keywords else {}
    # an interval is bounded at both ends
    for place in field.get("prefixItems", [field]):
        place.update(keywords)
    field.update(meaning)


def _close_object(original: Mapping[str, Any], closed: dict[str, Any], bounds: Bounds) -> None:
    closed["additionalProperties"] = False
    bound = bounds.get(str(closed.get("title")), {})
    for name, field in closed["properties"].items():
        field.pop("title", None)
        if name in bound:
            _bind(field, bound[name].keywords())
    nullable = {
        name for name, field in original["properties"].items() if {"type": "null"} in field.get("anyOf", [])
    }
    required = [name for name in closed.get("required", []) if name not in nullable]
    closed["required"] = ["schema", *required] if "schema" in closed["properties"] else required
