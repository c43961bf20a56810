"""Everything that an audit leaves in its folder; each file is whole or not there."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qaudit.auditing.events import ARMS
from qaudit.auditing.measure import Judged
from qaudit.errors import InputError, OutputProblem
from qaudit.files import sha256_bytes, write_atomically
from qaudit.probes.refusal import BEHAVIOUR, items_of
from qaudit.report import html_report, json_report, junit, sarif
from qaudit.report.json_report import RESPONSES
from qaudit.values import Evidence, Report, ResponsesRef, Suite

REPORT = "report.json"
PAGES = ("report.html", "report.sarif", "junit.xml")


def response_lines(suites: Sequence[Suite], judged: Judged) -> Iterator[str]:
    """Yield one JSON line per prompt: the question, both replies, their labels and the reasons."""
    for key, suite, item in items_of(suites, *BEHAVIOUR):
        if key not in judged.judgements["reference"]:
            continue
        row: dict[str, object] = {
            "suite": suite.name,
            "id": item.id,
            "category": item.category,
            "expectation": suite.expectation,
            # of such a suite nothing counts towards the pooled rates
            "derived_from": suite.derived_from,
            "turns": list(item.turns),
        }
        for arm in ARMS:
            reply, judgement = judged.replies[arm][key], judged.judgements[arm][key]
            row[arm] = {
                "text": reply["text"],
                "tokens": reply["tokens"],
                "finish": reply["finish"],
                "label": judgement.label,
                "reason": judgement.reason,
            }
        yield json.dumps(row, ensure_ascii=True, sort_keys=True)


def responses(suites: Sequence[Suite], judged: Judged) -> tuple[str, Evidence]:
    """Return the text of responses.jsonl and the reference to it."""
    lines = list(response_lines(suites, judged))
    text = "".join(f"{line}\n" for line in lines)
    return text, Evidence(ResponsesRef(RESPONSES, sha256_bytes(text.encode()), len(lines)))


def read_responses(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of an audit's responses.jsonl; none where the file is not there.

    Raises:
        InputError: a line is not what an audit writes.
    """
    path = folder / RESPONSES
    if not path.is_file():
        return
    # as bytes: what is no text fails where it is told apart
    with path.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                row["expectation"], row["suite"], row["id"], row["category"]
                row["reference"]["label"], row["candidate"]["label"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}: is not what an audit writes; audit again") from error
            yield row


def write_outputs(folder: Path, report: Report, responses_text: str) -> None:
    """Write the evidence first and report.json last, so that a report never lacks what it rests on.

    Raises:
        OutputProblem: a file cannot be written.
    """
    pages = (html_report.render(report), sarif.render(report), junit.render(report))
    texts = (responses_text, *pages, json_report.dump(report))
    try:
        for name, text in zip((RESPONSES, *PAGES, REPORT), texts, strict=True):
            write_atomically(folder / name, text)
    except OutputProblem:
        remove_outputs(folder)
        raise


def remove_outputs(folder: Path) -> None:
    """Remove what an audit leaves in its folder, but not its journal.

    Raises:
        OutputProblem: a file cannot be removed.
    """
    # the report first: without it nothing says what the others belong to
    for name in (REPORT, *PAGES, RESPONSES):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputProblem(
                f"{folder / name}: an earlier audit's file cannot be removed ({error.strerror}); "
                "choose another --out"
            ) from error
