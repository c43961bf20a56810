import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sample_inspection import failing

from qaudit.report.inspection_json import dump
from qaudit.report.inspection_schema import BOUNDS, FILE_NAME, SCHEMA, json_schema

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "schema" / FILE_NAME


def test_the_published_schema_is_up_to_date() -> None:
    stored = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert stored == json_schema(), "run: python -m qaudit.report.publish_schema docs/schema"


def test_the_schema_is_a_schema_and_every_bound_is_on_a_field_that_exists() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    definitions = {**schema["$defs"], "Inspection": schema}
    for owner, fields in BOUNDS.items():
        assert set(fields) <= set(definitions[owner]["properties"]), owner
    assert schema["properties"]["schema"]["const"] == SCHEMA
    assert "reference" not in schema["required"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["extra"], 1),
        (["status"], "ok"),
        (["fail_on"], "none"),
        (["reference"], None),
        (["schema"], "qaudit/inspection/v2"),
        (["created"], "today"),
        (["files", 0, "sha256"], "x"),
        (["files", 0, "size"], -1),
        (["findings", 0, "severity"], "bad"),
        (["findings", 0, "id"], "no family"),
        (["surfaces", 0, "state"], "seen"),
    ],
)
def test_what_no_inspection_holds_does_not_fit(path: list[Any], value: object) -> None:
    document = json.loads(dump([failing()]))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(document)
