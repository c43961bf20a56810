"""Vocabularies in plain text: `merges.txt`, `vocab.txt`, and tiktoken's lists of base64 and rank."""

import base64
import binascii
import re

from qaudit.static.model_parts import VocabularyView
from qaudit.static.vocabulary.sentencepiece import PieceModel

MAX_LINES = 1 << 22
_RANKED = re.compile(rb"[A-Za-z0-9+/]{1,4096}={0,2} \d{1,8}\r?\n")


def read_merges(raw: bytes) -> list[str]:
    """Return the merges of a `merges.txt`, without its first line about the version."""
    lines = raw.decode("utf-8", "replace").split("\n")[:MAX_LINES]
    if lines and lines[0].startswith("#version"):
        lines = lines[1:]
    return [line.rstrip("\r") for line in lines if line.strip()]


def read_vocabulary(raw: bytes) -> dict[str, int]:
    """Return text -> id of a `vocab.txt`: one token a line, the first of equal ones."""
    found: dict[str, int] = {}
    for index, line in enumerate(raw.decode("utf-8", "replace").split("\n")[:MAX_LINES]):
        text = line.rstrip("\r")
        if text:
            found.setdefault(text, index)
    return found


def read_ranks(path: str, raw: bytes) -> PieceModel | None:
    """Return a tiktoken list as a vocabulary; None where the file is none."""
    if not _RANKED.match(raw):
        return None
    tokens: list[str | None] = []
    for number, line in enumerate(raw.splitlines()[:MAX_LINES]):
        text, _, rank = line.partition(b" ")
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return PieceModel(VocabularyView(path, "tiktoken", tokens), f"line {number + 1} is not base64")
        if rank != str(number).encode():
            problem = f"line {number + 1} has rank {rank[:20].decode('ascii', 'replace')}, not {number}"
            return PieceModel(VocabularyView(path, "tiktoken", tokens), problem)
        # bytes that are no text by themselves stay apart from each other
        tokens.append(content.decode("utf-8", "surrogateescape"))
    return PieceModel(VocabularyView(path, "tiktoken", tokens))
