import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sample_look import failing, hostile, inconclusive, passing

from qaudit.report.plain_values import document_text
from qaudit.report.weights_schema import BOUNDS, FILE_NAME, SCHEMA, json_schema
from qaudit.weight_values import WeightsLook

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "schema" / FILE_NAME


def test_the_published_schema_is_up_to_date() -> None:
    stored = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert stored == json_schema(), "run: python -m qaudit.report.publish_schema docs/schema"


def test_the_schema_is_a_schema_and_every_bound_is_on_a_field_that_exists() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    definitions = {**schema["$defs"], "WeightsLook": schema}
    for owner, fields in BOUNDS.items():
        assert set(fields) <= set(definitions[owner]["properties"]), owner
    assert schema["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize("look", [passing(), failing(), inconclusive(), hostile()])
def test_looks_fit(look: WeightsLook) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(document_text(look)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["extra"], 1),
        (["status"], "ok"),
        (["schema"], "qaudit/weights/v2"),
        (["created"], "today"),
        (["metrics", "weights"], None),
        (["metrics", "weights", "kind"], "odd"),
        (["metrics", "weights", "tensors", 0, "state"], "fine"),
        (["metrics", "weights", "tensors", 0, "distance"], -1),
        (["metrics", "weights", "tensors", 0, "layer"], -1),
        (["checkpoint", "sha256"], "x"),
        (["findings", 0, "id"], "no family"),
    ],
)
def test_what_no_look_holds_does_not_fit(path: list[Any], value: object) -> None:
    document = json.loads(document_text(failing()))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(document)
