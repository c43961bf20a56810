import base64

from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.vocabulary.plain_files import read_merges, read_ranks, read_vocabulary


def ranks(*texts: bytes) -> bytes:
    return b"".join(base64.b64encode(text) + b" %d\n" % n for n, text in enumerate(texts))


def test_merges_without_the_line_about_the_version() -> None:
    assert read_merges(b"#version: 0.2\nt h\nth e\n\n") == ["t h", "th e"]
    assert read_merges(b"# h\r\nt h\r\n") == ["# h", "t h"]


def test_a_vocabulary_of_lines() -> None:
    assert read_vocabulary(b"[PAD]\nthe\n##s\n") == {"[PAD]": 0, "the": 1, "##s": 2}


def test_a_list_of_ranks() -> None:
    found = read_ranks("tokenizer.model", ranks(b"a", b"\xff", "é".encode()))
    assert found is not None
    assert list(found.view.tokens) == ["a", "\udcff", "é"]
    assert found.problem == ""


def test_ranks_that_are_out_of_order_are_told() -> None:
    found = read_ranks("tokenizer.model", b"YQ== 0\nYg== 7\n")
    assert found is not None
    assert "rank 7" in found.problem


def test_lines_that_are_not_base64_are_told() -> None:
    found = read_ranks("tokenizer.model", b"YQ== 0\n%%%% 1\n")
    assert found is not None
    assert "line 2" in found.problem


def test_other_files_are_no_ranks() -> None:
    assert read_ranks("tokenizer.model", b"\x0a\x05hello") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read(raw: bytes) -> None:
    read_merges(raw)
    read_vocabulary(raw)
    read_ranks("x", b"YQ== 0\n" + raw)
