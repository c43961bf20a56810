"""Items -> a suite folder, checked by the loader before a byte is on disk."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from qaudit.errors import InputError
from qaudit.files import make_folder, write_atomically
from qaudit.suites.loading import HEADER_FILE, PROMPTS_FILE, parse_suite
from qaudit.values import Expectation, Item, Suite


@dataclass(frozen=True, slots=True)
class SuiteHeader:
    """The keys of suite.yaml."""

    name: str
    version: str
    licence: str
    expectation: Expectation
    description: str
    categories: dict[str, str]
    derived_from: str | None = None


def suite_files(header: SuiteHeader, items: Iterable[Item]) -> tuple[bytes, bytes]:
    """Return the bytes of suite.yaml and prompts.jsonl; the same input always gives the same bytes."""
    document = {
        "name": header.name,
        "version": header.version,
        "licence": header.licence,
        "expectation": header.expectation,
        "description": header.description,
        "categories": dict(header.categories),
        **({"derived_from": header.derived_from} if header.derived_from else {}),
    }
    head = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    lines = [json.dumps(_row(item, header.expectation), ensure_ascii=False) + "\n" for item in items]
    return head.encode(), "".join(lines).encode()


def write_suite(folder: Path, header: SuiteHeader, items: Iterable[Item], *, replace: bool = False) -> Suite:
    """Write a suite folder and return the suite as it will load.

    The prompts go first: a folder without suite.yaml is no suite, so a killed run leaves nothing
    that looks like one.

    Raises:
        SuiteError: the items break a rule of the format; nothing is written.
        InputError: there is a suite already and `replace` is not set.
        OutputProblem: the folder cannot be written.
    """
    head, prompts = suite_files(header, items)
    suite = parse_suite(folder, head, prompts)
    if not replace and any((folder / name).exists() for name in (HEADER_FILE, PROMPTS_FILE)):
        raise InputError(f"{folder}: there is a suite in it already; choose another folder or remove it")
    make_folder(folder)
    if replace:
        (folder / HEADER_FILE).unlink(missing_ok=True)
    write_atomically(folder / PROMPTS_FILE, prompts)
    write_atomically(folder / HEADER_FILE, head)
    return suite


def _row(item: Item, expectation: Expectation) -> dict[str, object]:
    row: dict[str, object] = {"id": item.id, "category": item.category}
    if expectation == "read":
        row["text"] = item.turns[0]
    elif len(item.turns) > 1:
        row["turns"] = list(item.turns)
    else:
        row["prompt"] = item.turns[0]
    if item.choices:
        row["choices"] = list(item.choices)
        row["answer"] = item.answer
    if item.tags:
        row["tags"] = list(item.tags)
    return row
