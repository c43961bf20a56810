import json
from collections.abc import Callable

import jsonschema
import pytest
from sample_inspection import failing, hostile, inconclusive, passing

from qaudit.report.inspection_json import SEVERAL, dump
from qaudit.report.inspection_schema import json_schema
from qaudit.values import Inspection

MAKERS: list[Callable[[], Inspection]] = [passing, failing, inconclusive, hostile]


@pytest.mark.parametrize("made", MAKERS)
def test_the_document_fits_the_published_schema(made: Callable[[], Inspection]) -> None:
    text = dump([made()])
    text.encode("utf-8")
    document = json.loads(text)
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    assert next(iter(document)) == "schema"
    assert document["target"].startswith(made().target[:4])


def test_what_is_not_known_is_absent() -> None:
    assert "reference" not in json.loads(dump([passing()]))
    assert json.loads(dump([failing()]))["reference"] == "org/base"


def test_several_are_one_document() -> None:
    document = json.loads(dump([passing(), failing()]))
    assert document["schema"] == SEVERAL
    assert [one["status"] for one in document["inspections"]] == ["pass", "fail"]
    for one in document["inspections"]:
        jsonschema.Draft202012Validator(json_schema()).validate(one)
