"""A SentencePiece model (`tokenizer.model`) as a bounded walk over its protobuf: no library, no recursion.

Message and field numbers: sentencepiece_model.proto, https://github.com/google/sentencepiece.
"""

import struct
from dataclasses import dataclass, field

from qaudit.static.model_parts import VocabularyView

MAX_PIECES = 1 << 21
MAX_CHARSMAP = 8 << 20
_PIECE, _TRAINER, _NORMALIZER, _SELF_TEST, _DENORMALIZER = 1, 2, 3, 4, 5
_TYPES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}  # the same numbers as GGUF's
_SPECIAL_FIELDS = {40: "unk", 41: "bos", 42: "eos", 43: "pad"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT = struct.Struct("<f")


@dataclass(slots=True)
class PieceModel:
    """What the walk gave.

    Attributes:
        problem: where the bytes stopped making sense; what came before was kept.
        charsmap: of the normalizer, as it lies in the file.
        rules: `normalization_rule_tsv`, for a person to read.
        prefix: whether a space is put before the text.
    """

    view: VocabularyView
    problem: str = ""
    charsmap: bytes = b""
    rules: str = ""
    unknown_fields: list[int] = field(default_factory=list)


class _End(Exception):
    """The bytes end, or make no sense, at an offset."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(f"byte {offset}: {why}")


def is_piece_model(raw: bytes) -> bool:
    """Whether a file opens as a SentencePiece model does: with a piece, whose first field is its text."""
    return len(raw) > 4 and raw[0] == 0x0A and (raw[2] == 0x0A or raw[1] > 0x7F)


def read_pieces(path: str, raw: bytes) -> PieceModel:
    """Walk a model; never raises for what is in it."""
    tokens: list[str | None] = []
    scores: list[float] = []
    kinds = bytearray()
    special: dict[str, int] = {}
    model = PieceModel(VocabularyView(path, "SentencePiece", tokens))
    try:
        at, end = 0, len(raw)
        while at < end:
            number, wire, start, stop = _field(raw, at, end)
            at = stop
            if number == _PIECE and wire == _BYTES:
                if len(tokens) >= MAX_PIECES:
                    raise _End(start, f"more than {MAX_PIECES} pieces")
                text, score, kind = _piece(raw, start, stop)
                tokens.append(text)
                scores.append(score)
                kinds.append(kind if 0 <= kind < 255 else 255)
            elif number == _TRAINER and wire == _BYTES:
                special.update(_trainer(raw, start, stop))
            elif number in (_NORMALIZER, _DENORMALIZER) and wire == _BYTES:
                _normalizer(raw, start, stop, model)
            elif number != _SELF_TEST and len(model.unknown_fields) < 100:
                model.unknown_fields.append(number)
    except _End as error:
        model.problem = str(error)
    model.view = VocabularyView(
        path, "SentencePiece", tokens, kinds=kinds, scores=scores,
        special={role: index for role, index in special.items() if index >= 0},
    )  # fmt: skip
    return model


def _field(raw: bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Return number and wire type of the field at `at`, and where its value begins and ends."""
    tag, start = _varint(raw, at, end)
    wire = tag & 7
    if wire == _BYTES:
        length, start = _varint(raw, start, end)
        stop = start + length
    elif wire == _VARINT:
        _, stop = _varint(raw, start, end)
    elif wire == _FIXED32:
        stop = start + 4
    elif wire == _FIXED64:
        stop = start + 8
    else:
        raise _End(at, f"wire type {wire}")
    if stop > end:
        raise _End(at, f"a field of {stop - start} bytes, {end - start} are left")
    return tag >> 3, wire, start, stop


def _varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            break
    raise _End(at, "a number without an end")


def _piece(raw: bytes, at: int, end: int) -> tuple[str, float, int]:
    # what nearly every piece looks like: text, score, and a type where it is not normal
    if end - at >= 2 and raw[at] == 0x0A and raw[at + 1] < 0x80:
        stop = at + 2 + raw[at + 1]
        if stop + 5 <= end and raw[stop] == 0x15:
            rest = end - stop - 5
            if rest == 0 or (rest == 2 and raw[stop + 5] == 0x18):
                text = raw[at + 2 : stop].decode("utf-8", "surrogateescape")
                return text, _FLOAT.unpack_from(raw, stop + 1)[0], raw[stop + 6] if rest else 1
    text, score, kind = "", 0.0, 1
    while at < end:
        number, wire, start, at = _field(raw, at, end)
        if number == 1 and wire == _BYTES:
            text = raw[start:at].decode("utf-8", "surrogateescape")
        elif number == 2 and wire == _FIXED32:
            score = _FLOAT.unpack_from(raw, start)[0]
        elif number == 3 and wire == _VARINT:
            kind = _varint(raw, start, at)[0]
    return text, score, kind


def _trainer(raw: bytes, at: int, end: int) -> dict[str, int]:
    found: dict[str, int] = {}
    while at < end:
        number, wire, start, at = _field(raw, at, end)
        if number in _SPECIAL_FIELDS and wire == _VARINT:
            value = _varint(raw, start, at)[0]
            # -1 is written as 64 bits
            found[_SPECIAL_FIELDS[number]] = -1 if value >= 1 << 31 else value
    return found


def _normalizer(raw: bytes, at: int, end: int, model: PieceModel) -> None:
    while at < end:
        number, wire, start, at = _field(raw, at, end)
        if number == 2 and wire == _BYTES:
            model.charsmap = raw[start : min(at, start + MAX_CHARSMAP)]
        elif number == 6 and wire == _BYTES:
            model.rules = raw[start : min(at, start + (1 << 20))].decode("utf-8", "replace")
