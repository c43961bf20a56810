"""JSON from strangers: one meaning per text, or none.

The standard parser keeps the last of two equal keys and reads NaN, Infinity and 1e999; a document
that two parsers read differently must not pass a gate, so all of these are refused here.
"""

import json
import math
from typing import TYPE_CHECKING, NoReturn, TypeVar

# static rules read JSON too, and start in less time than pydantic takes to load
if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")


def load_strict(raw: bytes) -> object:
    """Parse UTF-8 JSON, refusing duplicate keys, non-finite numbers and runaway nesting.

    Raises:
        ValueError: one line saying what is wrong and where.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error
    try:
        return json.loads(
            text, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at byte {len(text[: error.pos].encode())}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_as(model: type[Model], raw: bytes) -> Model:
    """Parse strict JSON and validate it as `model`.

    Raises:
        ValueError: one line naming the first key that is wrong; never shows the value, which may
            be hostile or long.
    """
    from pydantic import ValidationError

    load_strict(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error


def first_problem(error: "ValidationError") -> str:
    """Return `key.path: message` for the first thing that a model refused."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(ascii(part).strip("'")[:80] for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {ascii(key)[:80]} appears twice in one object")
        values[key] = value
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value
