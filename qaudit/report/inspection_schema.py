"""What the JSON of `qaudit inspect` may hold, and the JSON Schema that is published of it."""

import json
from functools import cache
from typing import Any

from qaudit.findings import Inspection
from qaudit.report.closed_schema import HEX_SHA256, UTC_TIME, Bound, Bounds, count, value_schema

SCHEMA = "qaudit/inspection/v1"
SCHEMA_URL = "https://qaudit.dev/schema/inspection.v1.json"
FILE_NAME = "inspection.v1.json"

BOUNDS: Bounds = {
    "Inspection": {
        "schema": Bound("Name and version of this format."),
        "created": Bound("When the look ended, UTC, ISO 8601.", pattern=UTC_TIME),
        "duration_s": count("Seconds that it took."),
        "target": Bound("What was named; on a hub, with the commit."),
        "status": Bound("Fail, pass, or inconclusive where a part that could hold something was not seen."),
        "fail_on": Bound("The least severity that makes the status fail."),
        "findings": Bound("The gravest first."),
        "surfaces": Bound("Every part of the download and how far it was looked at."),
        "files": Bound("All files with their digests, where they were asked for."),
        "reference": Bound("What it was compared with."),
        "facts": Bound("What the download says it is: format, architecture, digests of its templates."),
    },
    "FileDigest": {"size": count("Bytes."), "sha256": Bound(pattern=HEX_SHA256)},
    "Finding": {
        "id": Bound(
            "The rule, as `qaudit inspect --list-rules` lists it.", pattern=r"^[a-z0-9-]+/[a-z0-9-]+$"
        ),
        "location": Bound("`file`, `file:key`, `file@byte 123` or the like."),
        "references": Bound("CVE ids, papers and specifications behind the rule."),
    },
    "Surface": {
        "path": Bound("A file of the download, or the whole."),
        "kind": Bound("What it is."),
        "why": Bound("The reason of anything but examined; empty for that."),
    },
}


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema (2020-12)."""
    return value_schema(Inspection, BOUNDS, SCHEMA_URL, "qaudit inspection, version 1")


@cache
def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=True) + "\n"
