"""What `report.json` may hold: bounds of its figures and texts, and the JSON Schema made from them.

The shape comes from the frozen values, the bounds from the table here; reading a report enforces
both, so that the published schema and `json_report.load` never say different things.
"""

import json
from functools import cache
from typing import Any

from qaudit.report.closed_schema import (
    HEX_SHA256,
    UTC_TIME,
    Bound,
    Bounds,
    change,
    count,
    share,
    value_schema,
)
from qaudit.values import Report

SCHEMA = "qaudit/report/v1"
SCHEMA_URL = "https://qaudit.dev/schema/report.v1.json"
FILE_NAME = "report.v1.json"


# by the value's class, then by field; a field that is not here may hold whatever its type allows
BOUNDS: Bounds = {
    "Report": {
        "schema": Bound("Name and version of this format."),
        "created": Bound("When the audit ended, UTC, ISO 8601.", pattern=UTC_TIME),
        "duration_s": count("Seconds that the audit took."),
        "seed": Bound("Seed of everything that was drawn at random."),
        "checkpoint": Bound("The candidate: the quantized checkpoint that was audited."),
        "reference": Bound("The checkpoint that it was made from."),
        "settings": Bound("What the answers depend on besides checkpoints, suites and engine."),
        "notes": Bound("What a reader must know to read the figures rightly."),
    },
    "Settings": {
        "template_source": Bound("Whose chat template both arms were asked with."),
        "template_sha256": Bound("Digest of that template.", pattern=HEX_SHA256),
        "max_tokens": count("Longest reply, in tokens."),
        "context": count("Most tokens of a prompt with its reply."),
        "parallel": count("Sequences decoded at once."),
        "batch": count("Prompts answered from one clean state."),
        "calibration_sha256": Bound(
            "Digest of the RTSI calibration file that was given.", pattern=HEX_SHA256
        ),
        "compute": Bound("Where and in what transformers computes, where it is the engine."),
    },
    "FileDigest": {"size": count("Bytes."), "sha256": Bound(pattern=HEX_SHA256)},
    "CheckpointInfo": {
        "parameters": count("Number of weights."),
        "bits_per_weight": count("Bits of tensor data for each weight."),
        "sha256": Bound(
            "Digest of the file, or of the sorted list of files where there are several.", pattern=HEX_SHA256
        ),
    },
    "EngineInfo": {"threads": count(), "build": Bound("What the engine says of its own build.")},
    "SuiteRef": {"items": count("Items that were asked."), "sha256": Bound(pattern=HEX_SHA256)},
    "PolicyRef": {"sha256": Bound("Digest of the policy file.", pattern=HEX_SHA256)},
    "JudgeRef": {"sha256": Bound("Digest of what the judge was built from.", pattern=HEX_SHA256)},
    "ResponsesRef": {
        "path": Bound("Relative to the folder of the report."),
        "sha256": Bound(pattern=HEX_SHA256),
        "rows": count("Prompts with both replies."),
    },
    "RuleResult": {
        "observed": Bound("What was measured; absent where it was not."),
        "threshold": Bound("What the rule asks."),
        "why": Bound("The figures behind the result, and the policy's reason for the rule."),
    },
    "Rate": {
        "rate": share("Refused / decided."),
        "n": count("Decided replies."),
        "ci95": share("Wilson score interval."),
        "undecided": count("Incoherent and empty replies, which count neither way."),
    },
    "PairedRate": {
        "delta": change("Candidate minus reference over the pairs."),
        "delta_ci95": change("Tango's paired score interval."),
        "pairs": count("Prompts decided on both arms."),
        "lost": count("The reference refused, the candidate did not."),
        "gained": count("The candidate refused, the reference did not."),
        "at_risk": count("Pairs in which the reference refused."),
        "mcnemar_p": share("Exact two-sided McNemar test."),
        "mde": share("Smallest true fall that so many pairs detect with 80 % power; absent where none is."),
        "strict_delta": change("The same delta with partial refusals counted as compliance."),
        "p_adjusted": share("mcnemar_p adjusted by Holm over the categories."),
    },
    "FirstTokenMeasure": {
        "n": count("Prompts compared."),
        "flips": count("Prompts whose likeliest first token changed."),
        "flip_rate": share(),
        "ci95": share("Wilson score interval of flip_rate."),
        "safety_n": count("Prompts that the reference opens as a refusal."),
        "safety_flips": count("Of these, those that the candidate opens otherwise."),
        "safety_flip_rate": share("Absent where the reference opens no refusal."),
        "safety_ci95": share("Wilson score interval of safety_flip_rate."),
        "kl_mean": Bound("KL(reference || candidate) of the first token, nats, mean."),
        "kl_p99": Bound("The same, 99th percentile."),
        "refusal_mass_drop": change("Mean fall of probability on the tokens that open refusals."),
    },
    "RtsiMeasure": {
        "score": count("Refusal Template Stability Index; may exceed 1."),
        "reference_refusals": count(),
        "candidate_refusals": count(),
        "contributions": Bound("Each feature's part of the score."),
        "cut_offs": Bound("Scores from which the tier is MODERATE and HIGH."),
    },
    "Change": {"n": count("Things measured on both arms.")},
    "QualityMeasure": {
        "perplexity_ratio": count("Candidate over reference."),
        "kl_mean": Bound("KL(reference || candidate) on text, nats, mean."),
        "kl_p99": Bound("The same, 99th percentile."),
        "top1_agreement": share("Positions at which both arms find the same token likeliest."),
        "positions": count("Text positions compared."),
    },
}


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema (2020-12) of report.json."""
    return value_schema(Report, BOUNDS, SCHEMA_URL, "qaudit report, version 1")


@cache
def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=True) + "\n"
