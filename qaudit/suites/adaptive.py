"""A "refuse" suite -> variants of its prompts by fixed, seeded transforms.

The same source, translations, seed and size give the same items on every machine and Python: every
choice is made by SHA-256, none by a random generator. Each category goes through the transforms in
turn, starting one further along than the category before it, so that none is left to one category.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from qaudit.errors import InputError, SuiteError
from qaudit.files import read_bounded, sha256_bytes
from qaudit.suites.lint import SOURCE_TAG
from qaudit.suites.loading import HEADER_FILE, MAX_TEXT, PROMPTS_BYTES, load_suite
from qaudit.suites.transforms import TRANSFORMS, Turns
from qaudit.suites.writing import SuiteHeader, write_suite
from qaudit.values import Item, Suite

TRANSLATIONS_FILE = "translations.jsonl"
LANGUAGE = "language"
# what suites/adaptive is made with
SHIPPED_NAME = "adaptive"
SHIPPED_SOURCE = "core"
SHIPPED_SEED = 20260
SHIPPED_PER_CATEGORY = 12
MAX_PER_CATEGORY = 1_000


@dataclass(frozen=True, slots=True)
class Translation:
    """A prompt of the source suite (by id) in another language (its code, such as "fr")."""

    source: str
    language: str
    prompt: str


class _TranslationRow(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    source: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]


def load_translations(path: Path) -> list[Translation]:
    """Read a file of translations, one {"source", "language", "prompt"} a line.

    Raises:
        InputError: the file cannot be read.
        SuiteError: a malformed line.
    """
    translations = []
    for number, line in enumerate(read_bounded(path, PROMPTS_BYTES).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _TranslationRow.model_validate(json.loads(line.decode("utf-8")))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise SuiteError(f"{path}: line {number}: {where!a}: {first['msg']}; correct it") from error
        except (ValueError, RecursionError) as error:
            raise SuiteError(f"{path}: line {number}: not a JSON object in UTF-8; correct it") from error
        translations.append(Translation(row.source, row.language, row.prompt))
    return translations


def derive(
    source: Suite,
    seed: int,
    per_category: int,
    translations: Sequence[Translation] = (),
    name: str = SHIPPED_NAME,
) -> list[Item]:
    """Return `per_category` variants for each category of a "refuse" suite.

    Items of several turns are passed over. The language change takes part in the categories that
    have a translation. A category with fewer prompts than `per_category` uses them again under
    other transforms. Tags say the source item, the transform and, where it changed, the language.

    Raises:
        InputError: `per_category` is out of range, or more than source and transforms can give.
        SuiteError: the suite is not to be refused, or a category has no prompt of one turn.
    """
    if not 1 <= per_category <= MAX_PER_CATEGORY:
        raise InputError(f"--per-category {per_category}: must lie between 1 and {MAX_PER_CATEGORY}")
    if source.expectation != "refuse":
        raise SuiteError(f"{source.name}: its prompts are not to be refused; derive from a suite whose are")
    items: list[Item] = []
    for position, category in enumerate(source.categories):
        pool = [item for item in source.items if item.category == category and len(item.turns) == 1]
        if not pool:
            raise SuiteError(
                f"{source.name}: category {category} has no prompt of one turn; add some or remove it"
            )
        pool.sort(key=lambda item: _draw(seed, "order", item.id))
        plan = _plan(pool, translations, position, per_category)
        if len(plan) < per_category:
            raise InputError(
                f"--per-category {per_category}: category {category} of {source.name} gives {len(plan)}; "
                "ask for fewer"
            )
        title = source.categories[category]
        for number, (item, transform, translation) in enumerate(plan, start=1):
            turns, tags = _apply(item, transform, translation, title, seed)
            items.append(Item(f"{name}-{category}-{number:03d}", category, turns, tags=tags))
    return items


def adaptive_header(source: Suite, seed: int, name: str = SHIPPED_NAME) -> SuiteHeader:
    """Return suite.yaml's keys for what `derive` gives; the version names source and seed."""
    transforms = ", ".join(sorted((*TRANSFORMS, LANGUAGE)))
    return SuiteHeader(
        name=name,
        version=f"{source.version}+{source.name}.{source.sha256[:12]}.seed{seed}",
        licence=source.licence,
        expectation="refuse",
        description=(
            f"Variants of {source.name} by fixed, seeded transforms: {transforms}. "
            "Written by qaudit suite derive; do not edit."
        ),
        categories=dict(source.categories),
        derived_from=source.name,
    )


def materialise(
    source: str | Path, out: Path, seed: int, per_category: int, translations: Path | None = None
) -> Suite:
    """Derive from a suite and write the result to `out`, named after that folder; return the suite.

    `translations` defaults to `out/translations.jsonl` where that exists. What an earlier run wrote
    is replaced.

    Raises:
        InputError: the source or the translations cannot be used, or `out` holds another suite.
        OutputProblem: `out` cannot be written.
    """
    loaded = load_suite(source)
    if translations is None and (out / TRANSLATIONS_FILE).is_file():
        translations = out / TRANSLATIONS_FILE
    rows = load_translations(translations) if translations else []
    name = out.resolve().name
    items = derive(loaded, seed, per_category, rows, name)
    if (out / HEADER_FILE).is_file() and not _is_derived(out):
        raise InputError(f"{out}: holds a suite that was not derived; choose another --out")
    return write_suite(out, adaptive_header(loaded, seed, name), items, replace=True)


def _is_derived(folder: Path) -> bool:
    return all(any(tag.startswith(SOURCE_TAG) for tag in item.tags) for item in load_suite(folder).items)


_Step = tuple[Item, str, Translation | None]


def _plan(
    pool: Sequence[Item], translations: Sequence[Translation], position: int, per_category: int
) -> list[_Step]:
    """Pair prompts with transforms, no pair twice; the least used prompt is next.

    Only the language change may take a prompt ahead of its turn, because few are translated.
    """
    by_id = {item.id: item for item in pool}
    # sorted by language and started at another one in each category, so that languages share
    translated = sorted(
        (each for each in translations if each.source in by_id), key=lambda each: (each.language, each.source)
    )
    translated = (
        translated[position % len(translated) :] + translated[: position % len(translated)]
        if translated
        else []
    )
    transforms = [*TRANSFORMS, *([LANGUAGE] if translated else [])]
    start = position % len(transforms)
    uses = dict.fromkeys(by_id, 0)
    done: set[tuple[str, str]] = set()
    steps: list[_Step] = []
    remaining = len(TRANSFORMS) * len(pool) + len(translated)
    wanted = min(per_category, remaining)
    for transform in islice(cycle(transforms), start, None):
        if len(steps) == wanted:
            return steps
        translation: Translation | None = None
        if transform == LANGUAGE:
            if not translated:
                continue
            translation = min(translated, key=lambda each: uses[each.source])
            translated.remove(translation)
            item = by_id[translation.source]
        else:
            free = [each for each in pool if (each.id, transform) not in done]
            if not free:
                continue
            item = min(free, key=lambda each: uses[each.id])
        uses[item.id] += 1
        done.add((item.id, transform))
        steps.append((item, transform, translation))
    return steps


def _apply(
    item: Item, transform: str, translation: Translation | None, title: str, seed: int
) -> tuple[Turns, tuple[str, ...]]:
    tags = (f"{SOURCE_TAG}{item.id}", f"transform:{transform}")
    if translation is not None:
        return (translation.prompt,), (*tags, f"language:{translation.language}")
    variant = _draw(seed, transform, item.id)
    return TRANSFORMS[transform](item.turns[0], title, variant), tags


def _draw(seed: int, purpose: str, item_id: str) -> int:
    return int(sha256_bytes(f"{seed}/{purpose}/{item_id}".encode())[:15], 16)
