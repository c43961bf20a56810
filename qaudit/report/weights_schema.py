"""What the JSON of `qaudit weights` may hold, and the JSON Schema that is published of it."""

import json
from functools import cache
from typing import Any

from qaudit.report.closed_schema import HEX_SHA256, UTC_TIME, Bound, Bounds, count, value_schema
from qaudit.weight_values import WeightsLook

SCHEMA = "qaudit/weights/v1"
SCHEMA_URL = "https://qaudit.dev/schema/weights.v1.json"
FILE_NAME = "weights.v1.json"

BOUNDS: Bounds = {
    "WeightsLook": {
        "schema": Bound("Name and version of this format."),
        "created": Bound("When the look ended, UTC, ISO 8601.", pattern=UTC_TIME),
        "duration_s": count("Seconds that it took."),
        "seed": Bound("Of the random directions that the figures are held against."),
        "checkpoint": Bound("What was looked at, with the digests of its files."),
        "reference": Bound("What it is said to be made from."),
        "status": Bound("Fail, pass, or inconclusive where something could not be compared."),
        "fail_on": Bound("The least severity that makes the status fail."),
        "findings": Bound("The gravest first."),
        "uncompared": Bound("What could not be compared, with the reason; empty for all of a pass."),
        "claims": Bound("What the checkpoint's own header says of its quantization."),
    },
    "CheckpointInfo": {
        "sha256": Bound(pattern=HEX_SHA256),
        "parameters": count("Weights."),
        "bits_per_weight": count("Of all tensors, as stored."),
    },
    "FileDigest": {"size": count("Bytes."), "sha256": Bound(pattern=HEX_SHA256)},
    "Finding": {
        "id": Bound("The rule.", pattern=r"^[a-z0-9-]+/[a-z0-9-]+$"),
        "location": Bound("The checkpoint and the first tensor."),
        "references": Bound("Papers behind the rule."),
    },
    "WeightMetrics": {"weights": Bound("Absent where nothing could be compared.")},
    "WeightsMeasure": {
        "kind": Bound("What was done to the weights."),
        "sentence": Bound("The same for a person, with the figures that say so."),
        "layers": Bound("In which a direction was taken out."),
        "parameters": count("Weights that were compared."),
        "pooled_gap": count("How far the changes share one direction; 1 for none, absent without an end."),
        "tensors": Bound("All that were compared, in the checkpoint's order."),
    },
    "ComparedTensor": {
        "layer": count("Its block; absent outside the blocks."),
        "rows": count("Outputs."),
        "columns": count("Inputs."),
        "state": Bound("What was done to it."),
        "distance": count("From the reference's, relative to its length; a quantizer's scales are undone."),
        "expected": count("The distance that rounding to the stored type leaves; absent if not known."),
        "excess": count("Distance over expected."),
        "edge_ratio": count("The strongest direction of the change over the strongest that noise has."),
        "strength": Bound("With which a direction was taken out of it; 1 for all of it."),
    },
}  # fmt: skip


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema (2020-12)."""
    return value_schema(WeightsLook, BOUNDS, SCHEMA_URL, "qaudit weights, version 1")


@cache
def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=True) + "\n"
