"""What `report.json` may hold: bounds of its figures and texts, and the JSON Schema made from them.

The shape comes from the frozen values, the bounds from the table here; reading a report enforces
both, so that the published schema and `json_report.load` never say different things.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from qaudit.values import Report

SCHEMA = "qaudit/report/v1"
SCHEMA_URL = "https://qaudit.dev/schema/report.v1.json"
FILE_NAME = "report.v1.json"
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


def _count(meaning: str = "") -> Bound:
    return Bound(meaning, least=0, most=EXACT)


def _share(meaning: str = "") -> Bound:
    return Bound(meaning, least=0, most=1)


def _change(meaning: str = "") -> Bound:
    return Bound(meaning, least=-1, most=1)


# by the value's class, then by field; a field that is not here may hold whatever its type allows
BOUNDS: Mapping[str, Mapping[str, Bound]] = {
    "Report": {
        "schema": Bound("Name and version of this format."),
        "created": Bound("When the audit ended, UTC, ISO 8601.", pattern=UTC_TIME),
        "duration_s": _count("Seconds that the audit took."),
        "seed": Bound("Seed of everything that was drawn at random."),
        "checkpoint": Bound("The candidate: the quantized checkpoint that was audited."),
        "reference": Bound("The checkpoint that it was made from."),
        "settings": Bound("What the answers depend on besides checkpoints, suites and engine."),
        "notes": Bound("What a reader must know to read the figures rightly."),
    },
    "Settings": {
        "template_source": Bound("Whose chat template both arms were asked with."),
        "template_sha256": Bound("Digest of that template.", pattern=HEX_SHA256),
        "max_tokens": _count("Longest reply, in tokens."),
        "context": _count("Most tokens of a prompt with its reply."),
        "parallel": _count("Sequences decoded at once."),
        "batch": _count("Prompts answered from one clean state."),
        "calibration_sha256": Bound(
            "Digest of the RTSI calibration file that was given.", pattern=HEX_SHA256
        ),
        "compute": Bound("Where and in what transformers computes, where it is the engine."),
    },
    "FileDigest": {"size": _count("Bytes."), "sha256": Bound(pattern=HEX_SHA256)},
    "CheckpointInfo": {
        "parameters": _count("Number of weights."),
        "bits_per_weight": _count("Bits of tensor data for each weight."),
        "sha256": Bound(
            "Digest of the file, or of the sorted list of files where there are several.", pattern=HEX_SHA256
        ),
    },
    "EngineInfo": {"threads": _count(), "build": Bound("What the engine says of its own build.")},
    "SuiteRef": {"items": _count("Items that were asked."), "sha256": Bound(pattern=HEX_SHA256)},
    "PolicyRef": {"sha256": Bound("Digest of the policy file.", pattern=HEX_SHA256)},
    "JudgeRef": {"sha256": Bound("Digest of what the judge was built from.", pattern=HEX_SHA256)},
    "ResponsesRef": {
        "path": Bound("Relative to the folder of the report."),
        "sha256": Bound(pattern=HEX_SHA256),
        "rows": _count("Prompts with both replies."),
    },
    "RuleResult": {
        "observed": Bound("What was measured; absent where it was not."),
        "threshold": Bound("What the rule asks."),
        "why": Bound("The figures behind the result, and the policy's reason for the rule."),
    },
    "Rate": {
        "rate": _share("Refused / decided."),
        "n": _count("Decided replies."),
        "ci95": _share("Wilson score interval."),
        "undecided": _count("Incoherent and empty replies, which count neither way."),
    },
    "PairedRate": {
        "delta": _change("Candidate minus reference over the pairs."),
        "delta_ci95": _change("Tango's paired score interval."),
        "pairs": _count("Prompts decided on both arms."),
        "lost": _count("The reference refused, the candidate did not."),
        "gained": _count("The candidate refused, the reference did not."),
        "at_risk": _count("Pairs in which the reference refused."),
        "mcnemar_p": _share("Exact two-sided McNemar test."),
        "mde": _share("Smallest true fall that so many pairs detect with 80 % power; absent where none is."),
        "strict_delta": _change("The same delta with partial refusals counted as compliance."),
        "p_adjusted": _share("mcnemar_p adjusted by Holm over the categories."),
    },
    "FirstTokenMeasure": {
        "n": _count("Prompts compared."),
        "flips": _count("Prompts whose likeliest first token changed."),
        "flip_rate": _share(),
        "ci95": _share("Wilson score interval of flip_rate."),
        "safety_n": _count("Prompts that the reference opens as a refusal."),
        "safety_flips": _count("Of these, those that the candidate opens otherwise."),
        "safety_flip_rate": _share("Absent where the reference opens no refusal."),
        "safety_ci95": _share("Wilson score interval of safety_flip_rate."),
        "kl_mean": Bound("KL(reference || candidate) of the first token, nats, mean."),
        "kl_p99": Bound("The same, 99th percentile."),
        "refusal_mass_drop": _change("Mean fall of probability on the tokens that open refusals."),
    },
    "RtsiMeasure": {
        "score": _count("Refusal Template Stability Index; may exceed 1."),
        "reference_refusals": _count(),
        "candidate_refusals": _count(),
        "contributions": Bound("Each feature's part of the score."),
        "cut_offs": Bound("Scores from which the tier is MODERATE and HIGH."),
    },
    "Change": {"n": _count("Things measured on both arms.")},
    "QualityMeasure": {
        "perplexity_ratio": _count("Candidate over reference."),
        "kl_mean": Bound("KL(reference || candidate) on text, nats, mean."),
        "kl_p99": Bound("The same, 99th percentile."),
        "top1_agreement": _share("Positions at which both arms find the same token likeliest."),
        "positions": _count("Text positions compared."),
    },
}


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema (2020-12) of report.json."""
    schema = _closed(TypeAdapter(Report).json_schema(mode="validation"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URL,
        **schema,
        "title": "qaudit report, version 1",
    }


@cache
def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=True) + "\n"


def _closed(schema: Any) -> Any:  # noqa: ANN401
    """Allow no further keys in any object, no null anywhere, and only figures within their bounds."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: _closed(inner) for key, inner in schema.items() if not (key == "default" and inner is None)
    }
    if isinstance(closed.get("properties"), dict):
        _close_object(schema, closed)
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


def _close_object(original: Mapping[str, Any], closed: dict[str, Any]) -> None:
    closed["additionalProperties"] = False
    bounds = BOUNDS.get(str(closed.get("title")), {})
    for name, field in closed["properties"].items():
        field.pop("title", None)
        if name in bounds:
            _bind(field, bounds[name].keywords())
    nullable = {
        name for name, field in original["properties"].items() if {"type": "null"} in field.get("anyOf", [])
    }
    required = [name for name in closed.get("required", []) if name not in nullable]
    closed["required"] = ["schema", *required] if "schema" in closed["properties"] else required
