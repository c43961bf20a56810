import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sample_report import failing_report, passing_report

from qaudit.errors import InputError
from qaudit.report.json_report import dump, load
from qaudit.report.report_schema import BOUNDS, json_schema

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "schema" / "report.v1.json"


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every schema within a schema that describes an object with named keys."""
    if isinstance(schema, list):
        return [found for inner in schema for found in objects(inner)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if "properties" in schema else []
    return own + [found for inner in schema.values() for found in objects(inner)]


def test_the_published_schema_is_up_to_date() -> None:
    stored = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert stored == json_schema(), "run: python -m qaudit.report.publish_schema docs/schema"


def test_the_schema_is_a_schema_and_closed_throughout() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert len(objects(schema)) > 15
    assert all(one["additionalProperties"] is False for one in objects(schema))
    assert all(set(one["required"]) <= set(one["properties"]) for one in objects(schema))
    assert '"null"' not in json.dumps(schema)


def test_what_may_be_left_out_is_not_required() -> None:
    definitions = json_schema()["$defs"]
    assert "mde" not in definitions["PairedRate"]["required"]
    assert "mcnemar_p" in definitions["PairedRate"]["required"]
    assert "observed" not in definitions["RuleResult"]["required"]
    assert "kl_nats" not in definitions["FlipExample"]["required"]
    assert "features" not in definitions["RtsiMeasure"]["required"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["extra"], 1),
        (["seed"], None),
        (["schema"], "qaudit/report/v2"),
        (["created"], "21 November"),
        (["checkpoint", "sha256"], "xyz"),
        (["checkpoint", "parameters"], -1),
        (["metrics", "refusal", "reference", "rate"], 1.01),
        (["metrics", "refusal", "delta"], -1.01),
        (["metrics", "refusal", "delta_ci95"], [-2, 0]),
        (["metrics", "refusal", "delta_ci95"], [0, 0, 0]),
        (["metrics", "first_token", "safety_flip_rate"], 2),
        (["metrics", "first_token", "ci95"], [0, 1.5]),
        (["verdict", "status"], "ok"),
        (["verdict", "regime"], "fine"),
    ],
)
def test_schema_and_reader_refuse_the_same(tmp_path: Path, path: list[str], value: object) -> None:
    document = json.loads(dump(failing_report()))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema(), jsonschema.Draft202012Validator)
    (tmp_path / "r.json").write_text(json.dumps(document))
    with pytest.raises(InputError):
        load(tmp_path / "r.json")


def test_perplexity_may_change_by_more_than_one() -> None:
    document = json.loads(dump(passing_report()))
    document["metrics"]["quality"]["perplexity"] = {
        "reference": 9.0,
        "candidate": 40.0,
        "delta": 31.0,
        "n": 5,
    }
    jsonschema.validate(document, json_schema(), jsonschema.Draft202012Validator)


def test_every_bound_is_on_a_field_that_exists() -> None:
    definitions = {**json_schema()["$defs"], "Report": json_schema()}
    for owner, fields in BOUNDS.items():
        assert set(fields) <= set(definitions[owner]["properties"]), owner


def test_an_interval_is_bounded_at_both_ends_and_explained() -> None:
    interval = json_schema()["$defs"]["Rate"]["properties"]["ci95"]
    assert [(end["minimum"], end["maximum"]) for end in interval["prefixItems"]] == [(0, 1), (0, 1)]
    assert "Wilson" in interval["description"]
