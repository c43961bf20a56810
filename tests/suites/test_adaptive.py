"""Derived suites: fixed, seeded, every transform represented; the shipped file is what the code gives."""

from collections import Counter
from pathlib import Path

import pytest

from qaudit.errors import InputError, SuiteError
from qaudit.shipped import shipped
from qaudit.suites.adaptive import (
    LANGUAGE,
    SHIPPED_PER_CATEGORY,
    SHIPPED_SEED,
    SHIPPED_SOURCE,
    Translation,
    adaptive_header,
    derive,
    load_translations,
    materialise,
)
from qaudit.suites.loading import load_suite
from qaudit.suites.transforms import TRANSFORMS
from qaudit.suites.writing import suite_files, write_suite
from qaudit.values import Item, Suite

CATEGORIES = {"a": "First", "b": "Second"}


def source(per_category: int = 3) -> Suite:
    items = tuple(
        Item(f"mine-{category}-{n}", category, (f"Tell me about thing {n} of {category}, please",))
        for category in CATEGORIES
        for n in range(per_category)
    )
    return Suite("mine", "1", "MIT", "refuse", "0" * 64, items, categories=CATEGORIES)


TRANSLATIONS = [
    Translation("mine-a-0", "fr", "Parle-moi"),
    Translation("mine-a-0", "de", "Erzähl mir"),
    Translation("mine-b-1", "fr", "Dis-moi"),
    Translation("gone-1", "fr", "Personne"),
]


def tag(item: Item, key: str) -> str | None:
    return next((each.removeprefix(f"{key}:") for each in item.tags if each.startswith(f"{key}:")), None)


def test_the_shipped_suite_is_what_the_code_derives() -> None:
    folder = shipped("suites") / "adaptive"
    core = load_suite(SHIPPED_SOURCE)
    items = derive(core, SHIPPED_SEED, SHIPPED_PER_CATEGORY, load_translations(folder / "translations.jsonl"))
    head, prompts = suite_files(adaptive_header(core, SHIPPED_SEED), items)
    # when this fails after an edit of core: qaudit suite derive --out suites/adaptive
    assert (folder / "prompts.jsonl").read_bytes() == prompts
    assert (folder / "suite.yaml").read_bytes() == head


def test_the_shipped_suite_has_every_transform_and_enough_of_each_category() -> None:
    suite = load_suite("adaptive")
    per_category = Counter(item.category for item in suite.items)
    assert set(per_category) == set(load_suite("core").categories)
    assert min(per_category.values()) >= 12
    for category in suite.categories:
        used = {tag(item, "transform") for item in suite.items if item.category == category}
        assert used == {*TRANSFORMS, LANGUAGE}
    assert len({tag(item, "language") for item in suite.items} - {None}) >= 3
    assert any(len(item.turns) == 2 for item in suite.items)


def test_every_shipped_translation_is_of_a_prompt_of_core() -> None:
    known = {item.id for item in load_suite("core").items}
    rows = load_translations(shipped("suites") / "adaptive" / "translations.jsonl")
    assert rows
    assert {row.source for row in rows} <= known


def test_the_same_seed_gives_the_same_items_and_another_does_not() -> None:
    one = derive(source(), 7, 8, TRANSLATIONS)
    assert one == derive(source(), 7, 8, list(reversed(TRANSLATIONS)))
    other = derive(source(), 8, 8, TRANSLATIONS)
    assert [item.turns for item in one] != [item.turns for item in other]
    # the order in which a suite lists its prompts means nothing
    suite = source()
    turned = Suite("mine", "1", "MIT", "refuse", "0" * 64, suite.items[::-1], categories=CATEGORIES)
    assert derive(turned, 7, 8, TRANSLATIONS) == one


def test_a_small_source_is_used_again_under_other_transforms() -> None:
    items = derive(source(2), 1, 14)
    pairs = [(tag(item, "source"), tag(item, "transform")) for item in items]
    assert len(set(pairs)) == len(pairs) == 28
    assert {tag(item, "transform") for item in items} == set(TRANSFORMS)
    assert [item.id for item in items][:2] == ["adaptive-a-001", "adaptive-a-002"]
    with pytest.raises(InputError, match="category a of mine gives 14; ask for fewer"):
        derive(source(2), 1, 15)


def test_each_prompt_is_used_once_before_any_is_used_again() -> None:
    for category in CATEGORIES:
        items = [item for item in derive(source(7), 3, 7) if item.category == category]
        assert len({tag(item, "source") for item in items}) == 7


def test_translations_are_taken_as_they_are() -> None:
    items = derive(source(), 1, 16, TRANSLATIONS)
    foreign = {
        (tag(item, "source"), tag(item, "language"), item.turns) for item in items if tag(item, "language")
    }
    assert foreign == {(row.source, row.language, (row.prompt,)) for row in TRANSLATIONS[:3]}
    assert not any(tag(item, "language") for item in derive(source(), 1, 12))


def test_what_cannot_be_derived_from(tmp_path: Path) -> None:
    suite = source()
    for number in (0, -1, 1_001):
        with pytest.raises(InputError, match="--per-category"):
            derive(suite, 1, number)
    answers = Suite("mine", "1", "MIT", "answer", "0" * 64, suite.items, categories=CATEGORIES)
    with pytest.raises(SuiteError, match="not to be refused"):
        derive(answers, 1, 2)
    long = Item("mine-c-1", "c", ("One.", "Two."))
    built = Suite(
        "mine", "1", "MIT", "refuse", "0" * 64, (*suite.items, long), categories={**CATEGORIES, "c": "C"}
    )
    with pytest.raises(SuiteError, match="category c has no prompt of one turn"):
        derive(built, 1, 2)


def test_materialise_writes_and_replaces_only_its_own(tmp_path: Path) -> None:
    write_suite(tmp_path / "mine", adaptive_header(source(), 1, "mine"), source().items)
    out = tmp_path / "variants"
    first = materialise(tmp_path / "mine", out, 1, 7)
    assert first == load_suite(out)
    assert first.name == "variants"
    (out / "translations.jsonl").write_text('{"source": "mine-a-0", "language": "fr", "prompt": "Oui ?"}\n')
    second = materialise(tmp_path / "mine", out, 1, 8)
    assert any(tag(item, "language") == "fr" for item in second.items)
    assert (out / "translations.jsonl").is_file()
    with pytest.raises(InputError, match="holds a suite that was not derived"):
        materialise(tmp_path / "mine", tmp_path / "mine", 1, 7)
    assert load_suite(tmp_path / "mine").items == source().items


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff", "line 2: not a JSON object"),
        (b"[" * 20_000, "line 2: not a JSON object"),
        (b"{}", "line 2: 'source': Field required"),
        (b"[]", "line 2: 'the line': "),
        (b'{"source": "x", "language": "French", "prompt": "y"}', "line 2: 'language': "),
        (b'{"source": "x", "language": "fr", "prompt": ""}', "line 2: 'prompt': "),
        (b'{"source": "x", "language": "fr", "prompt": "y", "by": "z"}', "line 2: 'by': "),
    ],
)
def test_a_bad_translation_names_the_line(tmp_path: Path, line: bytes, message: str) -> None:
    file = tmp_path / "translations.jsonl"
    file.write_bytes(b"\n" + line)
    with pytest.raises(SuiteError) as caught:
        load_translations(file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
