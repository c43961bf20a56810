"""`qaudit inspect --format json`: one inspection, or several as a list in a document of their own."""

from collections.abc import Sequence

from qaudit.findings import Inspection
from qaudit.report.plain_values import document_text, plain, to_json

SEVERAL = "qaudit/inspections/v1"


def dump(inspections: Sequence[Inspection]) -> str:
    """Return the document: `qaudit/inspection/v1` for one target, else `{schema, inspections: [...]}`."""
    if len(inspections) == 1:
        return document_text(inspections[0])
    return to_json({"schema": SEVERAL, "inspections": [_one(inspection) for inspection in inspections]})


def _one(inspection: Inspection) -> dict[str, object]:
    raw = plain(inspection)
    return {"schema": raw.pop("schema"), **raw}
