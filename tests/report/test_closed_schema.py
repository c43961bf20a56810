from dataclasses import dataclass

import jsonschema

from qaudit.report.closed_schema import Bound, change, count, share, value_schema


@dataclass(frozen=True)
class Inner:
    """Something
    inside."""

    hash: str


@dataclass(frozen=True)
class Outer:
    """A value."""

    n: int
    part: float
    shift: tuple[float, float]
    inner: Inner
    maybe: str | None = None


BOUNDS = {
    "Outer": {"n": count("How many."), "part": share(), "shift": change("Both ends.")},
    "Inner": {"hash": Bound(pattern="^[0-9a-f]{4}$")},
}
SCHEMA = value_schema(Outer, BOUNDS, "https://example.org/s.json", "A title")
GOOD = {"n": 3, "part": 0.5, "shift": [-1, 1], "inner": {"hash": "12ab"}}


def fits(**changed: object) -> bool:
    document = {key: value for key, value in {**GOOD, **changed}.items() if value is not ...}
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def test_it_is_named_and_explained() -> None:
    assert (SCHEMA["$id"], SCHEMA["title"]) == ("https://example.org/s.json", "A title")
    assert SCHEMA["properties"]["n"]["description"] == "How many."
    assert SCHEMA["$defs"]["Inner"]["description"] == "Something inside."


def test_only_what_keeps_the_bounds_fits() -> None:
    assert fits()
    assert fits(maybe="x")
    for wrong in (
        {"n": -1}, {"n": 2**53}, {"part": 1.1}, {"shift": [-2, 0]}, {"shift": [0, 2]}, {"inner": {"hash": "12AB"}},
        {"maybe": None}, {"extra": 1}, {"n": ...}, {"inner": {"hash": "12ab", "more": 1}},
    ):  # fmt: skip
        assert not fits(**wrong), wrong
