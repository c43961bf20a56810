"""Which files of a commit are downloaded: what qaudit reads, and nothing else.

For a GGUF the file itself with the other parts of its split set; for a folder the small files that
decide what a runtime does and the weights that `hf_repo` would open. Never a pickle, never code.
"""

from collections.abc import Sequence
from pathlib import Path

from qaudit.checkpoints.hf_repo import (
    CARRIED,
    CONFIG,
    INDEX,
    MAX_SHARDS,
    MAX_TOKENIZER_BYTES,
    SINGLE,
    indexed_names,
)
from qaudit.checkpoints.hub_listing import HubFile, Listing
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.checkpoints.shard_names import MAX_SHARDS as MAX_GGUF_SHARDS
from qaudit.checkpoints.shard_names import SHARD_NAME, names_of_set
from qaudit.errors import InputError, LimitExceeded, MalformedFile

MAX_FILES = 2000


def gguf_files(listing: Listing, spec: HubSpec) -> list[HubFile] | None:
    """Return the GGUF that is asked for, with its split siblings; None if a folder is.

    Raises:
        InputError: it is a file of another kind.
        MalformedFile: a part of the set is missing.
        LimitExceeded: its name claims too many parts.
    """
    if spec.file is None or (file := listing.by_path.get(spec.file)) is None:
        return None
    folder, slash, name = spec.file.rpartition("/")
    if not name.endswith(".gguf"):
        whole = HubSpec(spec.repo, spec.revision, folder or None)
        raise InputError(f"{spec}: is no checkpoint by itself; name a .gguf file, or the folder: {whole}")
    match = SHARD_NAME.fullmatch(name)
    if not match:
        return [file]
    count = int(match["count"])
    if count > MAX_GGUF_SHARDS:
        raise LimitExceeded(
            spec, f"its name claims {count} shards, the cap is {MAX_GGUF_SHARDS}", "use a merged file"
        )
    names = names_of_set(f"{folder}{slash}{match['stem']}", count)
    return [_listed(listing, name, spec, "a shard of the set") for name in names]


def small_files(listing: Listing, spec: HubSpec) -> list[HubFile]:
    """Return configuration, tokenizer, template and index of a folder.

    Raises:
        InputError: there is no such folder, or it holds no configuration.
        LimitExceeded: one is longer than any that is read.
    """
    inside = _inside(listing, spec)
    if CONFIG not in inside:
        raise InputError(_no_model(listing, spec))
    small = [inside[name] for name in CARRIED if name in inside]
    for file in small:
        if file.size > MAX_TOKENIZER_BYTES:
            raise LimitExceeded(
                spec, f"{file.path} has {file.size} bytes, more than {MAX_TOKENIZER_BYTES}", "is it a model?"
            )
    return small


def weight_files(listing: Listing, spec: HubSpec, folder: Path) -> list[HubFile]:
    """Return the weights of a folder, chosen as `hf_repo` chooses.

    Args:
        listing: what the commit holds.
        spec: what is asked for.
        folder: where the small files lie by now, the index among them.

    Raises:
        InputError: it has no safetensors, or several and no index.
        MalformedFile, LimitExceeded: the index lies, or names too many files.
    """
    inside = _inside(listing, spec)
    if SINGLE in inside:
        return [inside[SINGLE]]
    if INDEX in inside:
        names = indexed_names(folder / INDEX)
        prefix = _prefix(spec)
        return [_listed(listing, prefix + name, spec, "a file that its index names") for name in names]
    found = [file for name, file in inside.items() if name.endswith(".safetensors")]
    if len(found) == 1:
        return found
    if found:
        raise InputError(f"{spec}: has {len(found)} safetensors files and no {INDEX}; which is the model?")
    raise InputError(f"{spec}: holds no safetensors, and pickles are never opened; get another conversion")


def require_bounds(spec: HubSpec, files: Sequence[HubFile], max_bytes: int | None) -> int:
    """Return the size of all files.

    Raises:
        LimitExceeded: there are too many, or they are larger than the caller allows.
    """
    if len(files) > min(MAX_FILES, MAX_SHARDS):
        raise LimitExceeded(spec, f"is made of {len(files)} files, more than {MAX_FILES}", "is it a model?")
    total = sum(file.size for file in files)
    if max_bytes is not None and total > max_bytes:
        raise LimitExceeded(spec, f"has {total} bytes, more than the {max_bytes} allowed", "allow more")
    return total


def _listed(listing: Listing, path: str, spec: HubSpec, what: str) -> HubFile:
    file = listing.by_path.get(path)
    if file is None:
        raise MalformedFile(spec, f"the hub lists no {path[:200]!a}, {what}", "ask its owner to upload it")
    return file


def _prefix(spec: HubSpec) -> str:
    return f"{spec.file}/" if spec.file else ""


def _inside(listing: Listing, spec: HubSpec) -> dict[str, HubFile]:
    """Return the files right in the folder, by name."""
    prefix = _prefix(spec)
    below = {f.path.removeprefix(prefix): f for f in listing.files if f.path.startswith(prefix)}
    return {name: file for name, file in below.items() if "/" not in name}


def _no_model(listing: Listing, spec: HubSpec) -> str:
    prefix = _prefix(spec)
    ggufs = [file.path for file in listing.files if file.path.endswith(".gguf")]
    near = [path for path in ggufs if path.startswith(prefix)] or ggufs
    folders = [f.path.removesuffix(f"/{CONFIG}") for f in listing.files if f.path.endswith(f"/{CONFIG}")]
    problem = (
        f"{spec}: holds no {CONFIG}"
        if not prefix
        else f"{spec}: the commit holds no such file or model that qaudit reads"
    )
    if near or folders:
        example = HubSpec(spec.repo, spec.revision, (near or folders)[0])
        return f"{problem}; name the file or folder in it, such as {example}"
    return f"{problem} and no GGUF; name another repository or revision"
