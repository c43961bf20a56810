import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attacks.gguf_builder import GgufBuilder

from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case
from qaudit.static.gguf import book
from qaudit.static.gguf.book import BOOK, GgufSubject
from qaudit.static.gguf.inspector import RULES
from qaudit.static.gguf.layout import Span, lay_out
from qaudit.static.gguf.walking import walk_gguf


class Far(LocalBytes):
    local = False


@contextlib.contextmanager
def subject(path: Path, kind: Callable[[Path], LocalBytes], tail: bytes) -> Iterator[GgufSubject]:
    with kind(GgufBuilder(tail=tail).write(path)) as source:
        walk = walk_gguf(source)
        yield GgufSubject(source, walk, lay_out(walk), Case())


def spans(one: GgufSubject) -> dict[str, Span]:
    return {span.kind: span for span in one.layout.spans}


def test_every_rule_says_what_to_do_and_where_it_is_from() -> None:
    assert len(BOOK.rules) > 3 * len(RULES)
    assert len({rule.id for rule in BOOK.rules}) == len(BOOK.rules)
    for rule in BOOK.rules:
        assert rule.id.startswith("gguf/")
        assert rule.sources
        assert all(len(text) > 10 for text in (rule.title, rule.why, rule.remedy))


def test_spans_are_read_once_and_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_OF_A_SPAN", 100)
    with subject(tmp_path / "m.gguf", LocalBytes, b"x" * 300) as one:
        trailing = spans(one)["trailing"]
        assert one.bytes_of(trailing) == b"x" * 100
        assert one.bytes_of(trailing) == b"x" * 100
        assert one.unread == 200


def test_of_a_file_far_away_only_the_ends_are_read(tmp_path: Path) -> None:
    with subject(tmp_path / "m.gguf", Far, b"x" * 100_000) as one:
        trailing = spans(one)["trailing"]
        assert len(one.bytes_of(trailing)) == book.MOST_FETCHED
        inner = Span("padding", trailing.start - 3, trailing.start, "a tensor")
        assert one.bytes_of(inner) == b""
        assert one.unread == 100_000 - book.MOST_FETCHED + 3
