"""A suite folder (`suite.yaml` and `prompts.jsonl`) -> a frozen `Suite`, or one clear `SuiteError`.

suite.yaml has the keys `name`, `version`, `licence`, `expectation`, `description`, `categories`
(id: title) and, for a suite that transforms another one's prompts, `derived_from` (its name).
prompts.jsonl has one JSON object a line:

    refuse, answer   {"id", "category", "prompt"} or {"id", "category", "turns": [...]}
    choose           {"id", "category", "prompt", "choices": [...], "answer": INDEX}
    read             {"id", "category", "text"}

each with optional "tags". Other files in the folder are ignored.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from qaudit.errors import LimitExceeded, SuiteError
from qaudit.files import read_bounded
from qaudit.shipped import shipped
from qaudit.strict_json import load_strict
from qaudit.strict_yaml import load_strict_yaml
from qaudit.values import Expectation, Item, Suite

HEADER_FILE = "suite.yaml"
PROMPTS_FILE = "prompts.jsonl"
HEADER_BYTES = 64 * 1024
PROMPTS_BYTES = 64 * 1024 * 1024
LINE_BYTES = 1024 * 1024
MAX_ITEMS = 50_000
MAX_CATEGORIES = 1_000
MAX_TURNS = 16
MAX_CHOICES = 26
MAX_TEXT = 100_000
MAX_TAGS = 32
MAX_DEPTH = 8

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"

_Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
_Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
_Tags = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=200)]], Field(max_length=MAX_TAGS)
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Header(_Strict):
    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    version: _Title
    licence: _Title
    expectation: Expectation
    description: Annotated[str, StringConstraints(max_length=4_000)] = ""
    categories: Annotated[dict[_Id, _Title], Field(min_length=1, max_length=MAX_CATEGORIES)]
    derived_from: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] | None = None


class _Row(_Strict):
    id: _Id
    category: _Id
    tags: _Tags = []


class _Prompt(_Row):
    prompt: _Text

    def item(self) -> Item:
        return Item(self.id, self.category, (self.prompt,), tags=tuple(self.tags))


class _Turns(_Row):
    turns: Annotated[list[_Text], Field(min_length=1, max_length=MAX_TURNS)]

    def item(self) -> Item:
        return Item(self.id, self.category, tuple(self.turns), tags=tuple(self.tags))


class _Choice(_Row):
    prompt: _Text
    choices: Annotated[list[_Text], Field(min_length=2, max_length=MAX_CHOICES)]
    answer: Annotated[int, Field(ge=0)]

    def item(self) -> Item:
        return Item(
            self.id, self.category, (self.prompt,), tuple(self.choices), self.answer, tuple(self.tags)
        )


class _Passage(_Row):
    text: _Text

    def item(self) -> Item:
        return Item(self.id, self.category, (self.text,), tags=tuple(self.tags))


def shipped_suites() -> list[str]:
    """Return the names of the suites that ship with qaudit, sorted."""
    return sorted(folder.name for folder in shipped("suites").iterdir() if (folder / HEADER_FILE).is_file())


def suite_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a shipped suite (by name) or of a suite on disk (folder or one of its files).

    A bare name that ships with qaudit wins over a folder of the same name; write `./name` for the folder.

    Raises:
        SuiteError: there is no such suite.
    """
    if isinstance(name_or_path, str) and re.fullmatch(NAME_PATTERN, name_or_path):
        folder = shipped("suites") / name_or_path
        if (folder / HEADER_FILE).is_file():
            return folder
    path = Path(name_or_path)
    try:
        if path.name in {HEADER_FILE, PROMPTS_FILE} and path.is_file():
            return path.parent
        # an empty name would be the current folder
        if str(name_or_path) and path.is_dir():
            return path
    except (OSError, ValueError):
        # a name that is too long, or holds a NUL, is no path either
        pass
    raise SuiteError(
        f"{_shown(str(name_or_path))}: no such suite; give a folder with {HEADER_FILE}, or one of: "
        f"{', '.join(shipped_suites())}"
    )


def load_suite(name_or_path: str | Path) -> Suite:
    """Load a suite by its shipped name, or from a folder.

    Raises:
        SuiteError: no such suite, a missing file, a malformed line, or no prompts at all.
    """
    folder = suite_folder(name_or_path)
    header = _read(folder / HEADER_FILE, HEADER_BYTES)
    return parse_suite(folder, header, _read(folder / PROMPTS_FILE, PROMPTS_BYTES))


def parse_suite(folder: Path, header: bytes, prompts: bytes) -> Suite:
    """Build a suite from the bytes of its two files; `folder` only names them in messages.

    The digest is SHA-256 over both files, each after its length as 8 little-endian bytes, so that
    moving bytes from one file to the other changes it.

    Raises:
        SuiteError: anything that the format forbids, with file and line.
    """
    head = _parse_header(folder / HEADER_FILE, header)
    items = tuple(_parse_items(folder / PROMPTS_FILE, prompts, head))
    if not items:
        raise SuiteError(
            f"{folder / PROMPTS_FILE}: no prompts in it; an empty suite measures nothing, add some"
        )
    return Suite(
        name=head.name,
        version=head.version,
        licence=head.licence,
        expectation=head.expectation,
        sha256=suite_digest(header, prompts),
        items=items,
        description=head.description,
        categories=dict(head.categories),
        derived_from=head.derived_from,
    )


def suite_digest(header: bytes, prompts: bytes) -> str:
    """Return the digest of a suite's two files (see `parse_suite`)."""
    digest = hashlib.sha256()
    for data in (header, prompts):
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def _read(path: Path, limit: int) -> bytes:
    # a pipe or device would block or never end
    if not path.is_file():
        raise SuiteError(f"{path}: missing or not a plain file; a suite is {HEADER_FILE} and {PROMPTS_FILE}")
    try:
        return read_bounded(path, limit)
    except LimitExceeded as error:
        raise SuiteError(str(error)) from error


def _parse_header(path: Path, data: bytes) -> _Header:
    try:
        document = load_strict_yaml(data, MAX_DEPTH)
    except ValueError as error:
        raise SuiteError(f"{path}: {error}; correct it") from error
    if not isinstance(document, dict):
        raise SuiteError(f"{path}: not a mapping; write 'name: ...', 'version: ...' and so on")
    try:
        return _Header.model_validate(document)
    except ValidationError as error:
        raise SuiteError(f"{path}: {_first_problem(error)}; correct {HEADER_FILE}") from error


def _parse_items(path: Path, data: bytes, head: _Header) -> Iterable[Item]:
    seen: dict[str, int] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        if len(line) > LINE_BYTES:
            raise SuiteError(f"{place}: longer than {LINE_BYTES} bytes; split the prompt")
        if len(seen) >= MAX_ITEMS:
            raise SuiteError(f"{place}: more than {MAX_ITEMS} prompts; split the suite")
        item = _parse_item(place, line, head.expectation)
        if item.id in seen:
            raise SuiteError(f"{place}: id {item.id} is already on line {seen[item.id]}; ids must differ")
        if item.category not in head.categories:
            raise SuiteError(
                f"{place}: category {item.category} is not in {HEADER_FILE}; add it there or correct the line"
            )
        seen[item.id] = number
        yield item


def _parse_item(place: str, line: bytes, expectation: Expectation) -> Item:
    try:
        document = load_strict(line)
    except ValueError as error:
        raise SuiteError(f"{place}: {_shown(str(error))}; write one flat object a line, in UTF-8") from error
    if not isinstance(document, dict):
        raise SuiteError(f'{place}: not an object; write {{"id": ..., "category": ..., ...}}')
    try:
        item = _row_model(expectation, document).model_validate(document).item()
    except ValidationError as error:
        raise SuiteError(f"{place}: {_first_problem(error)}; expectation is {expectation}") from error
    for text in (*item.turns, *item.choices, *item.tags):
        _check_text(place, text)
    if item.answer is not None and item.answer >= len(item.choices):
        raise SuiteError(f"{place}: answer {item.answer} with {len(item.choices)} choices; the first is 0")
    if len(set(item.choices)) != len(item.choices):
        raise SuiteError(f"{place}: two choices are the same; make them differ")
    return item


def _row_model(
    expectation: Expectation, document: dict[str, object]
) -> type[_Prompt] | type[_Turns] | type[_Choice] | type[_Passage]:
    if expectation == "choose":
        return _Choice
    if expectation == "read":
        return _Passage
    return _Turns if "turns" in document else _Prompt


def _check_text(place: str, text: str) -> None:
    if not text.strip():
        raise SuiteError(f"{place}: a text that is only white space; write it or remove the line")
    if "\x00" in text:
        raise SuiteError(f"{place}: a NUL character in a text; remove it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SuiteError(f"{place}: half of a surrogate pair in a text; write the character itself")


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(_shown(str(part)) for part in first["loc"]) or "the document"
    return f"{where}: {_shown(first['msg'])}"


def _shown(text: str) -> str:
    # a message is one line, whatever the file holds
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= 120 else clean[:117] + "..."
