"""Split sets: the files `<stem>-00001-of-0000N.gguf` that llama.cpp loads as one model."""

from pathlib import Path

from qaudit.checkpoints.gguf import MAX_TENSORS, GgufFile, read_gguf
from qaudit.checkpoints.gguf_cursor import MAX_HEADER
from qaudit.checkpoints.shard_names import MAX_SHARDS, SHARD_NAME, names_of_set
from qaudit.errors import InputError, LimitExceeded, MalformedFile


def shard_paths(path: Path) -> list[Path]:
    """Return all files of the split set that `path` belongs to (just itself when it is not split).

    Raises:
        MalformedFile: a shard is missing, or the name claims an impossible set.
        LimitExceeded: the name claims more than 1000 shards.
    """
    match = SHARD_NAME.fullmatch(path.name)
    if not match:
        return [path]
    count, number = int(match["count"]), int(match["number"])
    if not 1 <= number <= count:
        raise MalformedFile(
            path, f"its name claims shard {number} of {count}", "restore the original file name"
        )
    if count > MAX_SHARDS:
        raise LimitExceeded(path, f"its name claims {count} shards, the cap is {MAX_SHARDS}", "merge them")
    paths = [path.with_name(name) for name in names_of_set(match["stem"], count)]
    for shard in paths:
        try:
            there = shard.is_file()
        except OSError as error:
            raise InputError(f"{shard}: cannot be read ({error.strerror}); check the permissions") from error
        if not there:
            raise MalformedFile(shard, "this shard of a split set is missing", "download all shards")
    return paths


def read_split(path: Path) -> tuple[GgufFile, ...]:
    """Parse a file or, for one shard of a split set, the whole set in order.

    Raises:
        MalformedFile: as `read_gguf`; or the shards do not belong together.
        LimitExceeded: as `read_gguf`; or all headers or tensor tables together are over the cap.
    """
    files: list[GgufFile] = []
    for shard in shard_paths(path):
        files.append(read_gguf(shard))
        # the caps of one file hold for the set too, or a thousand shards would multiply them
        if sum(file.data_start for file in files) > MAX_HEADER:
            raise LimitExceeded(shard, f"the headers up to here are over {MAX_HEADER} bytes", "merge them")
        if sum(len(file.tensors) for file in files) > MAX_TENSORS:
            raise LimitExceeded(shard, f"the shards up to here hold over {MAX_TENSORS} tensors", "merge them")
    first = files[0]
    claimed = _number(first, "split.count") or 0
    if len(files) == 1 and claimed in (0, 1):
        return tuple(files)
    if claimed != len(files):
        raise MalformedFile(
            first.path, f"split.count is {claimed}, found {len(files)} files", "restore the shard names"
        )
    _require_one_set(files)
    return tuple(files)


def _require_one_set(files: list[GgufFile]) -> None:
    seen: set[str] = set()
    for number, file in enumerate(files):
        if _number(file, "split.no") != number or _number(file, "split.count") != len(files):
            raise MalformedFile(file.path, f"is not shard {number + 1} of {len(files)} by its own metadata")
        for tensor in file.tensors:
            if tensor.name in seen:
                raise MalformedFile(file.path, f"tensor {tensor.name!r} is in another shard too")
            seen.add(tensor.name)
    total = _number(files[0], "split.tensors.count")
    if total is not None and total != len(seen):
        raise MalformedFile(files[0].path, f"split.tensors.count is {total}, the shards hold {len(seen)}")


def _number(file: GgufFile, key: str) -> int | None:
    # an array or a bool would compare in surprising ways
    value = file.metadata.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise MalformedFile(file.path, f"{key} is {value!r:.40}, not a whole number")
