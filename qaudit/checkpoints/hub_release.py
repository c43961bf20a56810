"""A signed release on a hub: every file of it, so that a signature over all of them can be checked.

An audit fetches what qaudit reads; a signature also covers what it never opens (other formats, model
cards, code). All files of the folder that is named come here, or of a single file those whose names
begin with its own, as its signatures do. Nothing is opened. The trust is the signature's, so without
a network the cached files of a commit will do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qaudit.checkpoints.folder_files import OMS_SIGNATURE
from qaudit.checkpoints.hub import Bringer, HubPlace
from qaudit.checkpoints.hub_cache import RepoCache
from qaudit.checkpoints.hub_client import ask_listing, place_from_environment
from qaudit.checkpoints.hub_listing import HubFile, Listing, every_file
from qaudit.checkpoints.hub_spec import HubSpec, Progress
from qaudit.checkpoints.shard_names import MAX_SHARDS, SHARD_NAME, names_of_set
from qaudit.errors import HubUnreachable, InputError, LimitExceeded, MalformedFile

# made by hubs for git, at the top of every repository; no loader reads it
HUBS_OWN = ".gitattributes"


@dataclass(frozen=True, slots=True)
class FetchedRelease:
    """What was fetched.

    Attributes:
        spec: what was asked for, at the commit that the revision was.
        files: names inside the folder (for a single file: beside it) to their place in the cache,
            which may be a link.
        single: the name of the single file that was asked for, or None for a folder.
        cache: the folder of the cache, where links to its files can be made.
    """

    spec: HubSpec
    files: Mapping[str, Path]
    single: str | None
    cache: Path


def fetch_release(
    spec: HubSpec,
    place: HubPlace | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> FetchedRelease:
    """Bring every file of a release from a hub, each held to the digest that the hub lists.

    Args:
        spec: a repository, a folder in it, or a single file with the signatures beside it.
        place: the hub and cache; None for those that the environment names.
        max_bytes: refuse what is larger altogether; None for no limit but the disk's.
        progress: called with bytes that are there and bytes needed.

    Raises:
        InputError: the hub has no such thing, or not for this user.
        MalformedFile: bytes are not those that the hub lists, a name is none, or a stranger lies among
            the cached files.
        LimitExceeded: there are too many files or bytes.
        HubUnreachable: there is no network, and the commit is not named in full or not in the cache.
        OutputProblem: the cache cannot be written to, or the disk is too small.
        MissingExtra: huggingface_hub is not installed.
    """
    place = place or place_from_environment()
    try:
        listing = ask_listing(place, spec, every_file)
    except HubUnreachable:
        if not (spec.pinned and spec.revision):
            raise
        names = _cached_names(place.repo(spec.repo), spec.revision)
        if not names:
            raise
        return _release(spec, place, _chosen(names, spec), spec.revision)
    pinned = spec.at(listing.commit)
    chosen = _chosen([file.path for file in listing.files], pinned)
    files: list[HubFile] = [listing.by_path[path] for path in chosen]
    Bringer(place, pinned, listing, max_bytes, progress).bring(files)
    if _is_folder(chosen, pinned):
        _refuse_strangers(place.repo(spec.repo), pinned, listing)
    return _release(pinned, place, chosen, listing.commit)


def _is_folder(chosen: list[str], spec: HubSpec) -> bool:
    return spec.file not in chosen


def _release(spec: HubSpec, place: HubPlace, chosen: list[str], commit: str) -> FetchedRelease:
    snapshot = place.repo(spec.repo).snapshot(commit)
    single = None if _is_folder(chosen, spec) else PurePosixPath(spec.file or "").name
    start = f"{spec.file}/" if single is None and spec.file else ""
    files = {
        path.removeprefix(start) if single is None else PurePosixPath(path).name: snapshot / path
        for path in chosen
    }
    return FetchedRelease(spec, files, single, place.cache)


def _chosen(paths: list[str], spec: HubSpec) -> list[str]:
    """Return the files that are meant, of all files of a commit."""
    if spec.file in paths:
        return _of_single_file(paths, spec)
    start = f"{spec.file}/" if spec.file else ""
    inside = [path for path in paths if path.startswith(start)]
    if not inside:
        raise InputError(f"{spec}: the commit holds no such file or folder; check the name")
    return inside


def _of_single_file(paths: list[str], spec: HubSpec) -> list[str]:
    folder, slash, name = (spec.file or "").rpartition("/")
    match = SHARD_NAME.fullmatch(name)
    parts = [name]
    if match:
        count = int(match["count"])
        if count > MAX_SHARDS:
            raise LimitExceeded(
                spec, f"its name claims {count} shards, the cap is {MAX_SHARDS}", "merge them"
            )
        parts = names_of_set(match["stem"], count)
    beside = [path for path in paths if path.rpartition("/")[0] == folder]
    # a part that is missing is the gate's to name
    return [
        path
        for path in beside
        if (own := path.removeprefix(folder + slash)) in parts
        or own == OMS_SIGNATURE
        or any(own.startswith(f"{part}.") for part in (parts[0], name))
    ]


def _cached_names(cache: RepoCache, commit: str) -> list[str]:
    top = cache.snapshot(commit)
    return [path.relative_to(top).as_posix() for path in _shown_below(top)]


def _refuse_strangers(cache: RepoCache, spec: HubSpec, listing: Listing) -> None:
    """Refuse what only the cache shows: whoever loads the commit's folder would find it there."""
    top = cache.snapshot(listing.commit)
    folder = top.joinpath(*(spec.file or "").split("/"))
    for path in _shown_below(folder):
        name = path.relative_to(top).as_posix()
        if name not in listing.by_path:
            raise MalformedFile(
                spec,
                f"the hub lists no {name[:80]!a} for this commit, yet {path!s:.300} is there",
                "delete it",
            )


def _shown_below(folder: Path) -> list[Path]:
    # a link to a folder is a stranger too: everything of the cache's own is a link to a file, or a file
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
