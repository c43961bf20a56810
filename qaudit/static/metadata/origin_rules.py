"""Rules on what a file says of its own making: type, quantizer, importance matrix, base model, size."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from qaudit.findings import Severity
from qaudit.static.admissions import ADMISSION, admission
from qaudit.static.gguf.ggml_types import type_label
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.hidden_characters import shown
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.metadata.numbers import (
    elements,
    holds_model,
    is_matrix,
    is_quantized,
    is_shard,
    matrix_bits,
    whole_number,
)
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[GgufWalk] = RuleBook("origin", "How a file says that it was made.")

FILE_TYPE = "general.file_type"
QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION
MOST_BASES = 64
GUESSED = 1024  # a flag that llama.cpp sets where it worked the type out
# fewer bits than this share of what is claimed: it is not what it claims
LEAST_SHARE = 0.75
MOST_BITS_BEYOND = 1.4
# the size in the name is rounded, and counted with or without embeddings
MOST_FACTOR = 2.5
# llama_ftype -> name, bits for each weight as llama-quantize makes it, types that most matrices have
FILE_TYPES: dict[int, tuple[str, float, tuple[int, ...]]] = {
    0: ("F32", 32, (0,)), 1: ("F16", 16, (1,)), 2: ("Q4_0", 4.5, (2,)), 3: ("Q4_1", 5, (3,)),
    7: ("Q8_0", 8.5, (8,)), 8: ("Q5_0", 5.5, (6,)), 9: ("Q5_1", 6, (7,)), 10: ("Q2_K", 2.96, (10, 11)),
    11: ("Q3_K_S", 3.5, (11,)), 12: ("Q3_K_M", 3.9, (11,)), 13: ("Q3_K_L", 4.25, (11,)),
    14: ("Q4_K_S", 4.55, (12,)), 15: ("Q4_K_M", 4.8, (12,)), 16: ("Q5_K_S", 5.5, (13,)),
    17: ("Q5_K_M", 5.65, (13,)), 18: ("Q6_K", 6.56, (14,)), 19: ("IQ2_XXS", 2.06, (16,)),
    20: ("IQ2_XS", 2.31, (17,)), 21: ("Q2_K_S", 2.63, (10,)), 22: ("IQ3_XS", 3.2, (18, 21)),
    23: ("IQ3_XXS", 3.06, (18,)), 24: ("IQ1_S", 1.56, (19,)), 25: ("IQ4_NL", 4.5, (20,)),
    26: ("IQ3_S", 3.44, (21,)), 27: ("IQ3_M", 3.6, (21,)), 28: ("IQ2_S", 2.5, (17, 22)),
    29: ("IQ2_M", 2.7, (22,)), 30: ("IQ4_XS", 4.25, (23,)), 31: ("IQ1_M", 1.75, (29,)),
    32: ("BF16", 16, (30,)), 36: ("TQ1_0", 1.69, (34,)), 37: ("TQ2_0", 2.06, (35,)),
    38: ("MXFP4_MOE", 4.25, (39,)), 39: ("NVFP4", 4.5, (40,)), 40: ("Q1_0", 1.13, (41,)),
    41: ("Q2_0", 2.25, (42,)),
}  # fmt: skip
_BITS_BY_NAME = {name: (bits, types) for name, bits, types in FILE_TYPES.values()} | {
    "FP16": (16, (1,)), "Q3_K": (3.44, (11,)), "Q4_K": (4.5, (12,)), "Q5_K": (5.5, (13,)),
    "MXFP4": (4.25, (39,)), "Q2_K_L": (2.63, (10, 11)), "Q4_K_L": (4.5, (12,)), "Q5_K_L": (5.5, (13,)),
    "Q6_K_L": (6.56, (14,)), "Q3_K_XL": (3.44, (11,)), "Q4_K_XL": (4.5, (12,)), "Q2_K_XL": (2.63, (10, 11)),
}  # fmt: skip
_NAMED = LazyPattern(
    r"(?<![A-Z0-9])(I?Q[1-8]_(?:K(?:_(?:S|M|L|XL))?|XXS|XS|NL|S|M|[01])|TQ[12]_0|BF16|FP?16|F32|MXFP4(?:_MOE)?"
    r"|NVFP4)(?![A-Z0-9])",
    re.IGNORECASE,
)
# llama-quantize makes these only with an importance matrix
_NEED_MATRIX = frozenset({16, 17, 19, 29})
_SIZE = LazyPattern(r"(\d{1,6}(?:\.\d{1,3})?)\s?([KMBT])", re.IGNORECASE)
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
MOST_TAGS = 500
MOST_CHARACTERS = 10_000
NAME_LENGTH = 300  # characters; a longer text is prose, where words are looked for as they stand
# Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL
_FALLBACKS = (2, 3, 6, 7, 20)
_MXFP4 = 39
_FAMILIES = ("llama", "qwen", "gemma", "phi", "falcon", "starcoder", "bloom", "mamba", "granite")


def _too_few(walk: GgufWalk, claimed: float, types: tuple[int, ...]) -> str | None:
    """Return what is there instead, where it is clearly less than what is claimed."""
    # the experts of gpt-oss were trained in MXFP4: whatever the rest is converted to, they stay that
    native = _MXFP4 if walk.architecture.startswith("gpt-oss") else None
    weights, bits = matrix_bits(walk, but=native)
    if bits is None or bits >= LEAST_SHARE * claimed:
        return None
    most = ", ".join(type_label(kind) for kind, _ in weights.most_common(3))
    told = f"matrices are {most} with {bits:.2f} bits a weight"
    return told if weights[types[0]] or any(weights[kind] for kind in types) else f"{told}, none of that type"


@BOOK.rule(
    "file-type",
    "high",
    title="the declared type is better than the tensors'",
    why="Whoever picks a file by its type gets one that was quantized harder, and with it other refusals.",
    remedy="do not use it under that name; audit it as what it is",
)
def _file_type(walk: GgufWalk) -> Iterator[Hit]:
    number = whole_number(walk, FILE_TYPE)
    if number is None or not walk.complete:
        return
    known = FILE_TYPES.get(number & ~GUESSED if number >= 0 else number)
    if known is None:
        return
    name, bits, types = known
    told = _too_few(walk, bits, types)
    if told:
        yield Hit(
            f"{walk.name}:{FILE_TYPE}",
            f"{number} is {name}, {bits:g} bits a weight; {told}",
            None if told.endswith("none of that type") else "medium",
        )


@BOOK.rule(
    "file-type-unknown",
    "info",
    title="a file type that llama.cpp does not know",
    why="A fork wrote the file, or somebody by hand.",
    remedy="ask which program made it",
)
def _file_type_unknown(walk: GgufWalk) -> Iterator[Hit]:
    number = whole_number(walk, FILE_TYPE)
    if number is not None and number not in (GUESSED, *FILE_TYPES) and number - GUESSED not in FILE_TYPES:
        yield Hit(f"{walk.name}:{FILE_TYPE}", str(number))


@BOOK.rule(
    "other-type",
    "low",
    title="no matrix is of the type that is declared, all are of better ones",
    why="The file was relabelled, or its rows are too short for the type; it costs more than it says.",
    remedy="ask how it was made",
)
def _other_type(walk: GgufWalk) -> Iterator[Hit]:
    weights, bits = matrix_bits(walk)
    if bits is None or not walk.complete:
        return
    number = whole_number(walk, FILE_TYPE)
    known = FILE_TYPES.get(number & ~GUESSED) if number is not None and number >= 0 else None
    claims = [(f"{walk.name}:{FILE_TYPE}", *known)] if known else []
    claims += [(walk.name, name, *_BITS_BY_NAME[name]) for name in _named(walk)]
    # rows that are no multiple of a block of 256 fall back to types of 32
    short = any(is_matrix(entry) and entry.dims[0] % 256 for entry in walk.tensors)
    short &= any(weights[kind] for kind in _FALLBACKS)
    for place, name, claimed, types in claims:
        if bits > MOST_BITS_BEYOND * claimed and not any(weights[kind] for kind in types) and not short:
            most = ", ".join(type_label(kind) for kind, _ in weights.most_common(3))
            yield Hit(place, f"{name}, {claimed:g} bits a weight; matrices are {most} with {bits:.2f}")


@BOOK.rule(
    "file-name",
    "high",
    title="the file's name claims a better type than the tensors'",
    why="People choose a quantization by the name of the file.",
    remedy="do not use it under that name; audit it as what it is",
)
def _file_name(walk: GgufWalk) -> Iterator[Hit]:
    claims = [(*_BITS_BY_NAME[name], name) for name in _named(walk)]
    if not claims or not walk.complete:
        return
    # a name may tell of the file that it was made from too
    bits, types, name = min(claims)
    told = _too_few(walk, bits, types)
    if told:
        yield Hit(
            walk.name, f"{name} in the name; {told}", None if told.endswith("none of that type") else "medium"
        )


def _named(walk: GgufWalk) -> list[str]:
    stem = PurePosixPath(walk.name).name
    return [name for name in (match[1].upper() for match in _NAMED.finditer(stem)) if name in _BITS_BY_NAME]


@BOOK.rule(
    "quantization-version",
    "low",
    title="quantized tensors without the quantizer's version",
    why="gguf.md asks for general.quantization_version wherever tensors are quantized; without it nobody can "
    "tell by which layout of blocks they were packed.",
    remedy="ask which program made it",
    sources=("https://github.com/ggml-org/ggml/blob/master/docs/gguf.md",),
)
def _version(walk: GgufWalk) -> Iterator[Hit]:
    key = "general.quantization_version"
    number = whole_number(walk, key)
    if number is None:
        if is_shard(walk) and whole_number(walk, "split.no"):
            return  # the first shard has the metadata
        count = sum(is_quantized(entry) for entry in walk.tensors)
        if count and key not in walk.metadata:
            # who wrote the one by the quantizer's habit wrote the other too
            severity: Severity | None = None if FILE_TYPE in walk.metadata else "info"
            yield Hit(f"{walk.name}:{key}", f"missing, {count} tensors are quantized", severity)
    elif number != QUANTIZATION_VERSION:
        yield Hit(f"{walk.name}:{key}", f"{number}, runtimes of today read {QUANTIZATION_VERSION}", "medium")


@BOOK.rule(
    "importance-matrix",
    "medium",
    title="entries of the importance matrix do not fit the file",
    why="They say on which texts a quantizer was tuned; entries that cannot be true were written by hand.",
    remedy="ask for the importance matrix",
    sources=("https://github.com/ggml-org/llama.cpp/tree/master/tools/imatrix",),
)
def _imatrix(walk: GgufWalk) -> Iterator[Hit]:
    given = sorted(key for key in walk.metadata if key.startswith("quantize.imatrix."))
    quantized = [entry for entry in walk.tensors if is_quantized(entry)]
    if given and walk.complete and walk.tensors and not quantized and not is_shard(walk):
        yield Hit(f"{walk.name}:{given[0]}", "no tensor is quantized")
    for name in ("entries_count", "chunks_count"):
        key = f"quantize.imatrix.{name}"
        number = whole_number(walk, key)
        if number is None:
            continue
        beyond = name == "entries_count" and not is_shard(walk) and number > 2 * max(1, walk.tensor_count)
        if number <= 0 or (beyond and walk.tensors):
            yield Hit(f"{walk.name}:{key}", f"{number}, the file has {walk.tensor_count} tensors")
    if not given and any(entry.type_id in _NEED_MATRIX for entry in quantized):
        yield Hit(f"{walk.name}:quantize.imatrix", "missing, the types need an importance matrix", "info")


@BOOK.rule(
    "base-model",
    "low",
    title="entries about the base model contradict the file",
    why="What a model is made from decides what it may be compared with.",
    remedy="ask for the base model, and compare with it",
)
def _base_model(walk: GgufWalk) -> Iterator[Hit]:
    count = whole_number(walk, "general.base_model.count")
    numbers = {
        int(parts[2])
        for parts in (key.split(".") for key in walk.metadata if key.startswith("general.base_model."))
        if len(parts) == 4 and parts[2].isdecimal() and len(parts[2]) < 9
    }
    place = f"{walk.name}:general.base_model"
    if count is not None and not 0 <= count <= MOST_BASES:
        yield Hit(f"{place}.count", str(count), "medium")
    elif count and not numbers:
        yield Hit(f"{place}.count", f"{count}, none is named")
    if numbers and (count is None or not 0 <= max(numbers) < count):
        yield Hit(f"{place}.count", f"{count}, entries for {max(numbers)}")
    for number in sorted(numbers)[:64]:
        name = walk.text(f"general.base_model.{number}.name") or ""
        url = walk.text(f"general.base_model.{number}.repo_url") or ""
        owner = walk.text(f"general.base_model.{number}.organization") or ""
        told = f"{name} {url}".lower()
        claimed = [family for family in _FAMILIES if family in told]
        own = walk.architecture.lower()
        if claimed and any(own.startswith(f) for f in _FAMILIES) and not any(f in own for f in claimed):
            yield Hit(f"{place}.{number}", f"{shown(name or url)}, the architecture is {shown(own)}")
        parts = url.rstrip("/").split("/")
        if owner and len(parts) >= 5 and "huggingface.co" in parts[2] and _plain(owner) != _plain(parts[3]):
            yield Hit(
                f"{place}.{number}",
                f"organization {shown(owner)}, the address is of {shown(parts[3])}",
                "info",
            )


@BOOK.rule(
    "size-label",
    "medium",
    title="the declared number of weights is not the file's",
    why="The file holds another model than its name says, or only a part of one.",
    remedy="compare the tensors with the original model's",
)
def _size_label(walk: GgufWalk) -> Iterator[Hit]:
    label = (walk.text("general.size_label") or "").strip()
    match = _SIZE.compiled.fullmatch(label[:20])
    if not match or not holds_model(walk):
        return
    claimed = float(match[1]) * _UNITS[match[2].upper()]
    count = sum(elements(entry) for entry in walk.tensors)
    if claimed and count and not 1 / MOST_FACTOR <= count / claimed <= MOST_FACTOR:
        yield Hit(f"{walk.name}:general.size_label", f"{label}, the tensors have {count:,} weights")


@BOOK.rule(
    "admits-abliteration",
    "medium",
    title="the file says that refusals were taken out of the model",
    why="Whoever made it says so in its name, tags or base model; it answers what the original refuses.",
    remedy="audit its refusals before anybody uses it",
    sources=("https://arxiv.org/abs/2406.11717",),
)
def _admits(walk: GgufWalk) -> Iterator[Hit]:
    for key, value in walk.metadata.items():
        if not key.startswith("general."):
            continue
        items = (
            [value] if isinstance(value, str) else value[:MOST_TAGS] if isinstance(value, StringArray) else []
        )
        for item in items:
            text = item if isinstance(item, str) else item.decode("utf-8", "replace")
            admitted = admission(text) if len(text) <= NAME_LENGTH else ""
            match = ADMISSION.search(text[:MOST_CHARACTERS])
            if admitted and match is None:
                yield Hit(f"{walk.name}:{key}", f"{admitted} in {shown(text)}")
                break
            if match:
                yield Hit(f"{walk.name}:{key}", shown(text[max(0, match.start() - 20) : match.end() + 20]))
                break


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
