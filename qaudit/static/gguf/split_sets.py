"""Looks at split sets: the files `<stem>-00001-of-0000N.gguf` that llama.cpp loads as one model.

llama.cpp takes metadata from the first shard only and counts on the others for tensors. A set is looked at
as one model: every shard there, each in its place, no tensor twice, and nothing in a later shard that says
otherwise than the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.checkpoints.shard_names import MAX_SHARDS, SHARD_NAME, shard_name
from qaudit.errors import InputError
from qaudit.findings import Finding, Surface
from qaudit.static.case import Case, opened
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.gguf.adapter_fit import compare_adapter
from qaudit.static.gguf.header_bytes import Beginning
from qaudit.static.gguf.layout import lay_out
from qaudit.static.gguf.parts import model_parts
from qaudit.static.gguf.shape_rules import misfits
from qaudit.static.gguf.shard_rules import COUNT, LOADER, NUMBER
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import ARRAY, U16, GgufWalk, KvPair, printable
from qaudit.static.gguf.walking import walk_gguf
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.model_parts import Examined
from qaudit.static.rules import Hit, RuleBook

MAX_SET_TENSORS = 200_000
TOTAL = "split.tensors.count"
MISSING_TOLD = 20
BEGINNING = 1 << 16  # bytes
BLOCK = LazyPattern(rb"blk\.(\d{1,9})\.")


@dataclass(frozen=True, slots=True)
class SplitSet:
    """The shards of one name that are there, by the number in their names.

    Attributes:
        stem: the path before the numbers.
        count: of shards, by the names.
        shards: number from 1 on -> walked header.
    """

    stem: str
    count: int
    shards: dict[int, GgufWalk]

    def path(self, number: int) -> str:
        """Return the path of a shard."""
        return shard_name(self.stem, number, self.count)


BOOK: RuleBook[SplitSet] = RuleBook("gguf", "The shards of a split GGUF.")


def inspect_split_sets(folder: FolderView, case: Case) -> Examined:
    """Return what is wrong with the split sets of a folder.

    Raises:
        HubUnreachable: a hub no longer answers.
    """
    examined = Examined()
    sets: dict[tuple[str, int], dict[int, Entry]] = {}
    for entry in folder.of_kind("gguf"):
        match = SHARD_NAME.fullmatch(entry.path)
        if match:
            sets.setdefault((match["stem"], int(match["count"])), {})[int(match["number"])] = entry
    for (stem, count), entries in sets.items():
        walks = {number: walk for number, entry in entries.items() if (walk := _walked(entry, examined))}
        split = SplitSet(stem, count, walks)
        examined.findings += BOOK.findings(split)
        examined.surfaces += _absent(split, entries)
    adapters: list[Entry] = []
    others: list[Entry] = []
    for entry in folder.of_kind("gguf"):
        if SHARD_NAME.fullmatch(entry.path):
            continue
        walk = _beginning(entry)
        if walk is None:
            continue
        (adapters if walk.text("general.type") == "adapter" else others).append(entry)
    if adapters and len(others) == 1:
        examined.findings += _fit(adapters, others[0])
    return examined


@BOOK.rule(
    "missing-shard",
    "high",
    title="a shard of a split model is missing",
    why="The model does not load, and what its missing part holds was not looked at.",
    remedy="download all shards, or give the folder that has them",
    sources=(LOADER,),
)
def _missing(split: SplitSet) -> Iterator[Hit]:
    missing = _numbers_missing(split)
    if missing:
        told = ", ".join(str(number) for number in missing[:MISSING_TOLD])
        more = " and more" if len(missing) > MISSING_TOLD else ""
        yield Hit(split.path(missing[0]), f"of {split.count} shards these are not there: {told}{more}")


@BOOK.rule(
    "split-disagrees",
    "high",
    title="shards that do not make one model",
    why="A shard of another model, or one in another's place, swaps weights under the same names.",
    remedy="download all shards again, from one author and one revision",
    sources=(LOADER,),
)
def _disagrees(split: SplitSet) -> Iterator[Hit]:
    if not 1 <= split.count <= MAX_SHARDS or any(not 1 <= number <= split.count for number in split.shards):
        yield Hit(split.path(1), f"the names claim {split.count} shards, numbered {sorted(split.shards)[:5]}")
        return
    for number, walk in split.shards.items():
        if not walk.complete:
            continue  # its own rules say why
        own, count = walk.number(NUMBER), walk.number(COUNT)
        if own != number - 1:
            yield Hit(f"{walk.name}:{NUMBER}", f"is {own}; by its name the shard is number {number - 1}")
        if count != split.count:
            yield Hit(f"{walk.name}:{COUNT}", f"is {count}; by its name the set has {split.count}")
        for key in (NUMBER, COUNT):
            pair = walk.pair(key)
            if pair is not None and pair.type != U16:
                yield Hit(f"{walk.name}:{key}", f"is {pair.type_name}, not u16", "low")
    yield from _tensors(split)


@BOOK.rule(
    "shard-metadata",
    "medium",
    title="a later shard has metadata that differs from the first's",
    why="llama.cpp reads the first shard's only. What other tools read in a later one does not run.",
    remedy="have the model split again with llama-gguf-split",
    sources=(LOADER,),
)
def _metadata(split: SplitSet) -> Iterator[Hit]:
    first = split.shards.get(1)
    if first is None:
        return
    known = {pair.key: pair for pair in first.pairs}
    for number, walk in sorted(split.shards.items()):
        if number == 1:
            continue
        for pair in walk.pairs:
            if pair.key.startswith(b"split."):
                continue
            same = known.get(pair.key)
            if same is None:
                yield Hit(walk.place(pair), "is not in the first shard")
            elif not _alike(same, pair):
                yield Hit(walk.place(pair), f"is {_told(pair)}; the first shard has {_told(same)}")


def _walked(entry: Entry, examined: Examined) -> GgufWalk | None:
    try:
        with opened(entry) as source:
            return walk_gguf(source)
    except InputError as error:
        examined.surfaces.append(Surface(entry.path, "gguf", "skipped", str(error)))
        return None


def _beginning(entry: Entry) -> GgufWalk | None:
    """Return as much of a header as its first bytes hold: what a file is stands there."""
    try:
        with opened(entry) as source:
            return walk_gguf(Beginning(source, BEGINNING))
    except InputError:
        return None  # its own inspector says so


def _fit(adapters: list[Entry], model: Entry) -> list[Finding]:
    """Return which adapters do not fit the only model beside them."""
    nothing = Examined()
    base = _walked(model, nothing)
    if base is None:
        return []
    parts = model_parts(base, lay_out(base))
    found: list[Finding] = []
    for entry in adapters:
        walk = _walked(entry, nothing)
        if walk is not None:
            found += compare_adapter(model_parts(walk, lay_out(walk)), parts)
    return found


def _absent(split: SplitSet, entries: dict[int, Entry]) -> Iterator[Surface]:
    for number in _numbers_missing(split)[:MISSING_TOLD]:
        if number not in entries:
            yield Surface(
                split.path(number), "gguf", "absent", f"shard {number} of {split.count} is not there"
            )


def _numbers_missing(split: SplitSet) -> list[int]:
    if not 1 <= split.count <= MAX_SHARDS:
        return []
    return [number for number in range(1, split.count + 1) if number not in split.shards]


def _tensors(split: SplitSet) -> Iterator[Hit]:
    seen: dict[bytes, str] = {}
    total = 0
    for _, walk in sorted(split.shards.items()):
        total += len(walk.tensors)
        if total > MAX_SET_TENSORS:
            return
        for tensor in walk.tensors:
            other = seen.setdefault(tensor.name, walk.name)
            if other != walk.name:
                yield Hit(walk.place_of(tensor), f"is in {other} too")
    whole = len(split.shards) == split.count and all(walk.complete for walk in split.shards.values())
    for walk in split.shards.values():
        claimed = walk.number(TOTAL)
        if whole and claimed is not None and claimed != total:
            yield Hit(f"{walk.name}:{TOTAL}", f"is {claimed}; the shards hold {total}")
    yield from _strange_blocks(split)


def _strange_blocks(split: SplitSet) -> Iterator[Hit]:
    """Give the tensors of a later shard that no model of the first shard's metadata has."""
    first = split.shards.get(1)
    blocks = first.number(f"{first.architecture}.block_count") if first else None
    if first is None or blocks is None:
        return
    for number, walk in sorted(split.shards.items()):
        if number == 1:
            continue
        for tensor in walk.tensors:
            match = BLOCK.match(tensor.name)
            if match and int(match[1]) >= blocks:
                yield Hit(walk.place_of(tensor), f"the first shard declares {blocks} blocks")
        for tensor, why in misfits(first, walk.tensors):
            yield Hit(walk.place_of(tensor), f"{why} in the first shard")


def _alike(first: KvPair, second: KvPair) -> bool:
    if isinstance(first.value, StringArray) and isinstance(second.value, StringArray):
        return first.value.block == second.value.block
    return (first.type, first.value) == (second.type, second.value)


def _told(pair: KvPair) -> str:
    if isinstance(pair.value, bytes):
        return repr(printable(pair.value))
    return f"{pair.count} elements" if pair.type == ARRAY else repr(pair.value)
