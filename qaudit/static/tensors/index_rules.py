"""Rules over one index and the shards that it names."""

from collections.abc import Iterator

from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.index_case import IndexCase, is_plain, is_shard_name, numbered
from qaudit.static.tensors.weight_files import SINGLE, base_name

BOOK: RuleBook[IndexCase] = RuleBook("index", "the index of a sharded checkpoint")
LAYOUT = "https://huggingface.co/docs/transformers (sharded checkpoints)"
TRAVERSAL = ("CWE-22", "https://github.com/huggingface/transformers/issues/47176")
AGAIN = "download the whole repository again"
_INSIDE = LazyPattern(r"(?:\w[\w.-]*/)+[\w.-]+")


@BOOK.rule(
    "malformed", "high",
    title="the index is not one",
    why="Without a weight_map of names no loader finds the weights, or each guesses its own way.",
    remedy=AGAIN, sources=(LAYOUT,),
)  # fmt: skip
def malformed(index: IndexCase) -> Iterator[Hit]:
    """Find indexes that cannot be read."""
    if index.document.problem:
        yield Hit(index.place, index.document.problem)
    if not isinstance(index.document.value, dict) or not index.weight_map:
        yield Hit(index.place, "has no weight_map")
    elif index.foreign:
        yield Hit(f"{index.place}:weight_map", f"no file's name for {', '.join(index.foreign[:5])}")


@BOOK.rule(
    "duplicate-key", "high",
    title="a tensor stands twice in the index",
    why="One parser takes the first shard for it, another the last.",
    remedy="do not load it; ask its author for a clean file", sources=(LAYOUT,),
)  # fmt: skip
def duplicate(index: IndexCase) -> Iterator[Hit]:
    """Find keys that one object holds twice."""
    for key in index.document.duplicates:
        yield Hit(index.place, ascii(key[:160]))


@BOOK.rule(
    "escapes", "critical",
    title="the index names a file outside its folder",
    why="Loaders join the name to the folder and open what it leads to: any file of the machine.",
    remedy="do not load it, and report who offers it", sources=TRAVERSAL,
)  # fmt: skip
def escapes(index: IndexCase) -> Iterator[Hit]:
    """Find names with a path in them."""
    for name in index.shards:
        if not is_plain(name):
            # a folder inside the download is unusual, not an escape
            inside = _INSIDE.fullmatch(name) and ".." not in name
            yield Hit(f"{index.place}:weight_map", ascii(name[:200]), "medium" if inside else None)


@BOOK.rule(
    "shard-kind", "high",
    title="the index names a file that is not of its kind",
    why="An index of safetensors that names a pickle has a loader open a pickle where none was expected.",
    remedy="do not load it", sources=(LAYOUT, "CWE-502"),
)  # fmt: skip
def shard_kind(index: IndexCase) -> Iterator[Hit]:
    """Find names with another suffix, or content, than the index's own."""
    if index.folder is None:
        return
    for name in index.shards:
        entry = index.beside.get(name)
        if not name.endswith(".safetensors"):
            yield Hit(f"{index.place}:weight_map", ascii(name[:200]))
        elif entry is not None and entry.kind not in ("safetensors", "lfs-pointer", "other"):
            yield Hit(f"{index.place}:weight_map", f"{name[:160]!a} is {entry.kind} by its content")


@BOOK.rule(
    "shard-missing", "high",
    title="a shard that the index names is not there",
    why="The checkpoint is not whole, and what is missing was not examined.",
    remedy=AGAIN, sources=(LAYOUT,),
)  # fmt: skip
def missing(index: IndexCase) -> Iterator[Hit]:
    """Find named files that do not exist."""
    if index.single:
        return
    for name in index.shards:
        if is_plain(name) and name not in index.beside:
            yield Hit(f"{index.place}:weight_map", ascii(name[:200]))


@BOOK.rule(
    "shard-extra", "medium",
    title="a shard that the index does not name",
    why="Some loaders open every safetensors file of a folder: they load weights that others never see.",
    remedy="compare the file list with the publisher's", sources=(LAYOUT,),
)  # fmt: skip
def extra(index: IndexCase) -> Iterator[Hit]:
    """Find numbered shards beside the index that belong to nothing; other files are of another set."""
    if index.folder is None:
        return
    named = set(index.shards)
    stems = {_stem(name) for name in named}
    for entry, _ in index.folder.walks:
        name = base_name(entry.path)
        if name not in named and is_shard_name(name) and _stem(name) in stems:
            yield Hit(entry.path, f"{index.place} does not name it")


@BOOK.rule(
    "shard-count", "medium",
    title="the numbers of the shards do not add up",
    why="`-00001-of-00005` promises five: one was dropped, or was put in from another checkpoint.",
    remedy=AGAIN, sources=(LAYOUT,),
)  # fmt: skip
def count(index: IndexCase) -> Iterator[Hit]:
    """Hold the total in the names against the number of names."""
    totals: dict[int, int] = {}
    for name in index.shards:
        promised = numbered(name)
        if promised:
            totals[promised[1]] = totals.get(promised[1], 0) + 1
    if len(totals) > 1:
        yield Hit(f"{index.place}:weight_map", f"shards of sets of {', '.join(map(str, sorted(totals)))}")
    for total, found in totals.items():
        if len(totals) == 1 and found != total:
            yield Hit(f"{index.place}:weight_map", f"{found} shards are named, of {total}")


@BOOK.rule(
    "tensor-elsewhere", "high",
    title="a tensor is not in the shard that the index names",
    why="Loaders that trust the index leave it at random; those that read every file find another value.",
    remedy=AGAIN, sources=(LAYOUT,),
)  # fmt: skip
def elsewhere(index: IndexCase) -> Iterator[Hit]:
    """Find tensors that are missing from their shard."""
    held = _held(index)
    if held is None:
        return
    read = {
        base_name(entry.path) for entry, walk in (index.folder.walks if index.folder else ()) if walk.complete
    }
    for name, file in index.weight_map.items():
        where = held.get(name, [])
        if file in read and file not in where:
            told = f"it is in {', '.join(where[:3])}" if where else "it is in no shard"
            yield Hit(
                f"{index.place}:weight_map.{ascii(name[:120])[1:-1]}", f"named in {file[:120]!a}; {told}"
            )


@BOOK.rule(
    "tensor-unlisted", "medium",
    title="a shard holds a tensor that the index does not name",
    why="Loaders that read whole shards load it, those that follow the index do not.",
    remedy="compare the tensor with the publisher's", sources=(LAYOUT,),
)  # fmt: skip
def unlisted(index: IndexCase) -> Iterator[Hit]:
    """Find tensors of named shards without an entry."""
    named = set(index.shards)
    for name, files in (_held(index) or {}).items():
        where = [file for file in files if file in named]
        if where and name not in index.weight_map:
            yield Hit(f"{where[0]}:{ascii(name[:160])[1:-1]}", f"is not in {index.place}")


@BOOK.rule(
    "tensor-twice", "medium",
    title="a tensor is in two shards",
    why="Which of the two counts depends on the loader and on the order in which it opens them.",
    remedy="compare both with the publisher's", sources=(LAYOUT,),
)  # fmt: skip
def twice(index: IndexCase) -> Iterator[Hit]:
    """Find names that several named shards hold."""
    named = set(index.shards)
    for name, files in (_held(index) or {}).items():
        where = [file for file in files if file in named]
        if len(where) > 1:
            yield Hit(f"{index.place}:{ascii(name[:120])[1:-1]}", f"in {', '.join(where[:4])}")


@BOOK.rule(
    "total-size", "low",
    title="the index tells another size than its shards have",
    why="The index was written for other files than these: another type, or another version.",
    remedy="compare with the publisher's index", sources=(LAYOUT,),
)  # fmt: skip
def total_size(index: IndexCase) -> Iterator[Hit]:
    """Hold total_size against the bytes of all tensors, or of the files."""
    claim = index.total_size
    if type(claim) not in (int, float) or index.folder is None or not index.folder.complete:
        return
    named = set(index.shards)
    walks = [walk for entry, walk in index.folder.walks if base_name(entry.path) in named]
    if len(walks) != len(named):
        return
    bytes_of_tensors = sum(tensor.size for walk in walks for tensor in walk.tensors)
    bytes_of_files = sum(walk.size for walk in walks)
    if claim not in (bytes_of_tensors, bytes_of_files):
        yield Hit(
            f"{index.place}:metadata.total_size", f"{claim:.0f}, the tensors have {bytes_of_tensors} bytes"
        )


@BOOK.rule(
    "shadowed", "medium",
    title="one file is loaded in place of the indexed shards",
    why=f"Loaders prefer {SINGLE} to an index beside it: the shards that people look at do not run.",
    remedy="find out which of the two is meant, and remove the other", sources=(LAYOUT,),
)  # fmt: skip
def shadowed(index: IndexCase) -> Iterator[Hit]:
    """Find the single file beside an index that does not name it."""
    single = index.place.removesuffix(".index.json")
    if base_name(single) in index.beside and base_name(single) not in index.shards and index.weight_map:
        yield Hit(single, f"stands beside {index.place}, which names {len(index.shards)} other files")


def _held(index: IndexCase) -> dict[str, list[str]] | None:
    """Return the files that hold each tensor; None where not all headers were read."""
    if index.folder is None or index.single:
        return None
    held: dict[str, list[str]] = {}
    for tensor in index.folder.tensors():
        files = held.setdefault(tensor.name, [])
        file = base_name(tensor.entry.path)
        if file not in files:
            files.append(file)
    return held


def _stem(name: str) -> str:
    promised = numbered(name)
    return promised[0] if promised else name
