"""A public prompt set's own file -> a suite folder, with the set's own categories, ids and licence."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from qaudit.errors import InputError, MalformedFile
from qaudit.suites.loading import HEADER_FILE, MAX_TEXT, PROMPTS_FILE
from qaudit.suites.public_sets import PublicSet, expectation_of, recognise
from qaudit.suites.tables import Row, Table, read_table
from qaudit.suites.writing import SuiteHeader, write_suite
from qaudit.values import Expectation, Item, Suite


def import_public_set(
    file: Path, out: Path, kind: str | None = None, expectation: Expectation | None = None
) -> tuple[Suite, ...]:
    """Import a public set's file into the folder `out` and return what was written.

    One suite, named after `out`. A labelled set (XSTest) gives two, in `out/refuse` and
    `out/answer`, unless `expectation` chooses one of them, which is then written to `out` itself.
    For other sets `expectation` (default "refuse") says what its prompts call for: JailbreakBench's
    benign file has the same columns as its harmful one.

    Raises:
        InputError: the file is missing, or there is a suite in `out` already.
        MalformedFile: the file is no known set, or a row of it is unusable.
        OutputProblem: `out` cannot be written.
    """
    if expectation not in (None, "refuse", "answer"):
        raise InputError(f"{file}: a prompt set can only be imported to refuse or to answer")
    table = read_table(file)
    public_set = recognise(table, kind)
    chosen: list[tuple[Path, str, Expectation, tuple[Row, ...]]]
    if not public_set.labelled:
        chosen = [(out, _slug(out.resolve().name), expectation or "refuse", table.rows)]
    else:
        chosen = _split_by_label(table, out, expectation)
    # both folders are looked at before either is written
    for folder, *_ in chosen:
        if any((folder / name).exists() for name in (HEADER_FILE, PROMPTS_FILE)):
            raise InputError(f"{folder}: there is a suite in it already; choose another --out or remove it")
    return tuple(
        _write(public_set, table, folder, name, expected, rows) for folder, name, expected, rows in chosen
    )


def _split_by_label(
    table: Table, out: Path, expectation: Expectation | None
) -> list[tuple[Path, str, Expectation, tuple[Row, ...]]]:
    by_label: dict[Expectation, list[Row]] = {"refuse": [], "answer": []}
    for row in table.rows:
        by_label[expectation_of(table.path, row)].append(row)
    name = _slug(out.resolve().name)
    if expectation is not None:
        if not by_label[expectation]:
            raise MalformedFile(
                table.path, f"no prompt in it is to {expectation}", "choose the other --expectation"
            )
        return [(out, name, expectation, tuple(by_label[expectation]))]
    return [(out / label, f"{name}-{label}", label, tuple(rows)) for label, rows in by_label.items() if rows]


def _write(
    public_set: PublicSet,
    table: Table,
    folder: Path,
    name: str,
    expectation: Expectation,
    rows: Sequence[Row],
) -> Suite:
    ids = _ids(public_set, name, rows)
    categories: dict[str, str] = {}
    items = []
    for item_id, row in zip(ids, rows, strict=True):
        category, title = _category(public_set, table.path, row)
        if categories.setdefault(category, title) != title:
            raise MalformedFile(
                table.path,
                f"line {row.line}: category '{title[:80]}' differs from another by signs only",
                "rename it",
            )
        items.append(
            Item(item_id, category, (_prompt(public_set, table.path, row),), tags=_tags(public_set, row))
        )
    header = SuiteHeader(
        name=name,
        version=f"sha256-{table.sha256[:16]}",
        licence=public_set.licence,
        expectation=expectation,
        description=(
            f"{public_set.title} ({public_set.source}), imported by qaudit "
            f"from a file with SHA-256 {table.sha256}."
        ),
        categories=categories,
    )
    return write_suite(folder, header, items)


def _prompt(public_set: PublicSet, path: Path, row: Row) -> str:
    prompt = public_set.prompt_of(row)
    if not prompt:
        raise MalformedFile(path, f"line {row.line}: the prompt is empty", "fill or remove the row")
    if len(prompt) > MAX_TEXT:
        raise MalformedFile(
            path, f"line {row.line}: a prompt of {len(prompt)} characters", "is it the right file?"
        )
    return prompt


def _category(public_set: PublicSet, path: Path, row: Row) -> tuple[str, str]:
    if public_set.category is None:
        return public_set.single_category
    title = " ".join(row.fields[public_set.category].split())
    slug = _slug(title, keep="_", fallback="")
    if not slug or len(title) > 200:
        raise MalformedFile(path, f"line {row.line}: the category is empty or unusable", "correct the row")
    return slug, title


def _ids(public_set: PublicSet, name: str, rows: Sequence[Row]) -> list[str]:
    # the set's own ids where they can serve, so that figures can be looked up in its publications
    own: list[str] = []
    if public_set.own_id:
        own = [_slug(row.fields.get(public_set.own_id, ""), keep="_", fallback="", length=60) for row in rows]
    if not own or not all(own) or len(set(own)) != len(own):
        width = max(3, len(str(len(rows))))
        own = [f"{number:0{width}d}" for number in range(1, len(rows) + 1)]
    return [f"{name}-{each}" for each in own]


def _tags(public_set: PublicSet, row: Row) -> tuple[str, ...]:
    # the prefix keeps an imported column "source" apart from the tag of a derived item
    values = ((column, " ".join(row.fields.get(column, "").split())) for column in public_set.tags)
    return tuple(f"set-{column}:{value}"[:200] for column, value in values if value)


def _slug(text: str, keep: str = "", fallback: str = "imported", length: int = 48) -> str:
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(rf"[^a-z0-9{keep}]+", "-", folded)[:length].strip("-_") or fallback
