import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_inspection import passing

from qaudit.report.plain_values import document_text, plain, to_json
from qaudit.values import Finding, Surface


def test_a_value_becomes_its_fields_without_what_is_none() -> None:
    made = plain({"one": Surface("p", "k", "skipped", "w"), "two": (1, None)})
    assert made == {"one": {"path": "p", "kind": "k", "state": "skipped", "why": "w"}, "two": [1, None]}
    assert "reference" not in plain(passing())


def test_the_schema_comes_first() -> None:
    assert next(iter(json.loads(document_text(passing())))) == "schema"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_equal_runs_give_equal_bytes(value: float) -> None:
    told = plain(value)
    assert math.isclose(told, value, rel_tol=1e-8, abs_tol=1e-300)
    assert math.copysign(1, told) == 1 or told < 0
    assert plain(told) == told


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_an_error_that_names_the_place(value: float) -> None:
    with pytest.raises(ValueError, match=r"a\.1 is"):
        plain({"a": [0.0, value]})


@given(st.text(st.characters()))
def test_any_text_can_be_written(text: str) -> None:
    written = to_json(plain(Finding(text, "low", text, text, text, text)))
    written.encode("utf-8")
    assert json.loads(written)["severity"] == "low"
