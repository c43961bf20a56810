import io

from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most
from tokenizer_kit import message, piece, piece_model, varint

from qaudit.static.vocabulary.sentencepiece import is_piece_model, read_pieces

PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("▁the", -1.5, 1), ("<0x0A>", 0.0, 6)]


def test_pieces_scores_kinds_and_roles() -> None:
    found = read_pieces("tokenizer.model", piece_model(PIECES))
    assert found.problem == ""
    assert list(found.view.tokens) == [text for text, _, _ in PIECES]
    assert list(found.view.scores) == [0.0, 0.0, 0.0, -1.5, 0.0]
    assert list(found.view.kinds) == [2, 3, 3, 1, 6]
    assert found.view.special == {"eos": 2}


def test_fields_in_another_order_and_long_texts() -> None:
    body = varint(3 << 3) + varint(4) + varint(2 << 3 | 5) + b"\0\0\0\0" + message(1, b"x" * 500)
    found = read_pieces("m", message(1, body))
    assert list(found.view.tokens) == ["x" * 500]
    assert list(found.view.kinds) == [4]


def test_the_character_map_is_kept() -> None:
    assert read_pieces("m", piece_model(PIECES, charsmap=b"\4\0\0\0abcd")).charsmap == b"\4\0\0\0abcd"


def test_what_comes_before_the_break_is_kept() -> None:
    for tail in (b"\x0a\xff\xff\xff\xff\x7f", b"\xff" * 40, b"\x0a\x05ab", b"\x0f"):
        found = read_pieces("m", piece("a") + tail)
        assert found.problem
        assert list(found.view.tokens) == ["a"]


@given(st.binary(max_size=300))
def test_any_bytes_are_walked(raw: bytes) -> None:
    for start in (b"", piece("a"), message(2, raw), message(3, raw), message(1, raw)):
        read_pieces("m", start + raw)
        is_piece_model(start + raw)


def test_very_many_pieces_take_no_time() -> None:
    raw = piece_model([(f"▁piece{n}", -float(n), 1) for n in range(60_000)])
    with at_most(1):
        assert len(read_pieces("m", raw).view.tokens) == 60_000


def test_models_are_told_by_how_they_open() -> None:
    assert is_piece_model(piece_model(PIECES))
    assert not is_piece_model(b"YQ== 0\n")
    assert not is_piece_model(io.BytesIO().getvalue())
