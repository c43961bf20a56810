import re
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.gguf.string_array import StringArray


def packed(texts: list[bytes], prefix: int = 8) -> StringArray:
    block, marks = b"", array("Q")
    for text in texts:
        marks.append(len(block))
        block += len(text).to_bytes(prefix, "little") + text
    marks.append(len(block))
    return StringArray(block, marks, prefix)


@given(st.lists(st.binary(max_size=300)), st.sampled_from([4, 8]))
def test_reads_as_the_list_that_it_was_made_from(texts: list[bytes], prefix: int) -> None:
    strings = packed(texts, prefix)
    assert list(strings) == texts
    assert len(strings) == len(texts)
    assert [strings[i] for i in range(len(texts))] == texts
    assert [strings[-i - 1] for i in range(len(texts))] == texts[::-1]
    assert strings[1:3] == texts[1:3]
    assert list(strings.lengths()) == [len(text) for text in texts]
    assert strings.texts() == [text.decode("utf-8", "surrogateescape") for text in texts]


@given(st.lists(st.binary(max_size=12)), st.binary(min_size=1, max_size=3))
def test_search_over_the_block_finds_what_a_loop_finds(texts: list[bytes], needle: bytes) -> None:
    assert list(packed(texts).holding(needle)) == [i for i, text in enumerate(texts) if needle in text]


@given(st.lists(st.binary(max_size=300)), st.sampled_from([4, 8]))
def test_finds_strings_with_a_nul(texts: list[bytes], prefix: int) -> None:
    assert list(packed(texts, prefix).with_nul()) == [i for i, text in enumerate(texts) if b"\0" in text]


@given(st.lists(st.text("ab\n", max_size=8)))
def test_patterns_do_not_reach_over_the_end_of_a_string(texts: list[str]) -> None:
    pattern = re.compile(rb"a+b|b\n")
    raw = [text.encode() for text in texts]
    assert list(packed(raw).matching(pattern)) == [i for i, text in enumerate(raw) if pattern.search(text)]


def test_a_length_that_looks_like_the_needle_is_no_match() -> None:
    assert list(packed([b"x" * 65, b"A"]).holding(b"A")) == [1]


def test_iterates_over_more_than_one_slice() -> None:
    texts = [str(i).encode() for i in range(9000)]
    assert list(packed(texts)) == texts


def test_refuses_an_index_outside_and_an_empty_needle() -> None:
    with pytest.raises(IndexError, match="string 1 of 1"):
        packed([b"a"])[1]
    with pytest.raises(ValueError, match="empty needle"):
        packed([b"a"]).holding(b"")


def test_a_nul_is_found_beside_long_and_empty_strings() -> None:
    # a long string's length has one zero less: together with one NUL the sum would be right
    assert list(packed([b"fine", b"a\0b", b"x" * 300]).with_nul()) == [1]
    assert list(packed([b"fine", b"", b"x" * 300, b"y" * 65536]).with_nul()) == []
