"""Checkpoints on a hub: `hf://org/repo[@revision][/file]` to a local path whose every byte was checked.

A revision is resolved once to a commit and everything is taken at that commit. Each file is held to the
digest that the hub lists for it, whether it was downloaded now or lay in the cache. Only what qaudit
reads is downloaded: no pickle, no code. Without a network a commit that was fetched before still opens,
checked against the digests that were noted then.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qaudit.checkpoints.hub_choice import gguf_files, require_bounds, small_files, weight_files
from qaudit.checkpoints.hub_client import HubPlace, ask_listing, place_from_environment
from qaudit.checkpoints.hub_download import download
from qaudit.checkpoints.hub_library import locked, make_cache_folder, unwritable
from qaudit.checkpoints.hub_listing import HubFile, Listing
from qaudit.checkpoints.hub_records import known_commits, recall, remember
from qaudit.checkpoints.hub_spec import HubSpec, Progress, is_hub_spec, parse_hub_spec
from qaudit.errors import HubUnreachable, OutputProblem

__all__ = ["FetchedRepo", "HubPlace", "HubSpec", "Progress", "fetch", "is_hub_spec", "parse_hub_spec"]


@dataclass(frozen=True, slots=True)
class FetchedRepo:
    """What was fetched.

    Attributes:
        path: the file or folder to open.
        spec: the same at the commit that the revision was when it was asked.
        files: what was downloaded or found in the cache, with sizes and digests as the hub lists them.
    """

    path: Path
    spec: HubSpec
    files: tuple[HubFile, ...]


def fetch(
    spec: HubSpec,
    place: HubPlace | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
    before_weights: Callable[[Path], None] | None = None,
) -> FetchedRepo:
    """Bring a checkpoint from a hub, or find it in the cache, and check every file of it.

    Args:
        spec: which.
        place: the hub and cache; None for those that the environment names.
        max_bytes: refuse what is larger altogether; None for no limit but the disk's.
        progress: called with bytes that are there and bytes needed, first before anything is downloaded;
            the second figure grows once where an index must be read to know the weights.
        before_weights: called with a folder that holds all but the weights yet; what it raises ends this.

    Raises:
        InputError: the hub has no such thing, or not for this user, or it is not one that qaudit reads.
        MalformedFile: bytes are not those that the hub lists (they are removed), or a listing lies.
        LimitExceeded: there are too many files or bytes.
        HubUnreachable: there is no network and the cache does not have it all.
        OutputProblem: the cache cannot be written to, or the disk is too small.
        MissingExtra: huggingface_hub is not installed.
    """
    place = place or place_from_environment()
    listing = _listing(place, spec)
    pinned = spec.at(listing.commit)
    bringer = Bringer(place, pinned, listing, max_bytes, progress)
    files = gguf_files(listing, pinned)
    if files is not None:
        bringer.bring(files)
        own = next(file for file in files if file.path == spec.file)
        return FetchedRepo(bringer.cache.pointer(listing.commit, own), pinned, tuple(files))
    small = small_files(listing, pinned)
    bringer.bring(small)
    folder = bringer.cache.snapshot(listing.commit).joinpath(*(spec.file or "").split("/"))
    weights = weight_files(listing, pinned, folder)
    if before_weights:
        before_weights(folder)
    bringer.bring([*small, *weights])
    bringer.cache.require_no_strangers(str(pinned), folder, f"{spec.file}/" if spec.file else "", listing)
    return FetchedRepo(folder, pinned, (*small, *weights))


def _listing(place: HubPlace, spec: HubSpec) -> Listing:
    """Return what the hub says, or what it said before about the very commit if it cannot be asked."""
    try:
        listing = ask_listing(place, spec)
    except HubUnreachable as error:
        if spec.revision and spec.pinned:
            known = recall(place.endpoint, spec.repo, spec.revision)
            if known:
                return known
        commits = known_commits(place.endpoint, spec.repo)
        if not commits or spec.pinned:
            raise
        raise HubUnreachable(f"{error}; a commit that was fetched before is {spec.at(commits[0])}") from error
    remember(place.endpoint, listing)
    return listing


class Bringer:
    """Brings files of one commit into the cache, counting bytes over all of them; see `fetch`."""

    def __init__(
        self,
        place: HubPlace,
        spec: HubSpec,
        listing: Listing,
        max_bytes: int | None,
        progress: Progress | None,
    ) -> None:
        self.place, self.spec, self.commit = place, spec, listing.commit
        self.cache = place.repo(listing.repo)
        self._max_bytes, self._progress = max_bytes, progress
        self._told: tuple[int, int] | None = None

    def bring(self, files: Sequence[HubFile]) -> None:
        """Download what is not there, check everything; see `fetch` for what it raises."""
        total = require_bounds(self.spec, files, self._max_bytes)
        held = [self.cache.held(self.commit, file) for file in files]
        self._require_space(total - sum(held))
        done = sum(held)
        self._tell(done, total)
        for file, before in zip(files, held, strict=True):
            done -= before
            self._bring_one(file, partial(self._tell_more, done, total))
            done += file.size
            self._tell(done, total)

    def _bring_one(self, file: HubFile, tell: Callable[[int], None]) -> None:
        shown = str(HubSpec(self.spec.repo, self.commit, file.path))
        pointer = self.cache.pointer(self.commit, file)
        if not pointer.is_file():
            with locked(self.cache.lock(file)):
                if not pointer.is_file():  # another process may have brought it meanwhile
                    self._download(shown, file, tell)
                    self.cache.place(self.commit, file)
        self.cache.require_sound(shown, pointer, file, "the copy in the cache")

    def _download(self, shown: str, file: HubFile, tell: Callable[[int], None]) -> None:
        blob, gathered = self.cache.blob(file), self.cache.partial(file)
        if blob.is_file():  # of another commit, or by another tool; it is checked where it is used
            return
        make_cache_folder(blob.parent)
        download(self.place, self.spec, file, gathered, tell)
        self.cache.require_sound(shown, gathered, file, f"what {self.place.name} sent")
        try:
            gathered.replace(blob)
        except OSError as error:
            raise unwritable(blob.parent, error) from error

    def _require_space(self, needed: int) -> None:
        folder = self.cache.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            free = shutil.disk_usage(folder).free
        except OSError:  # then the disk will say so itself
            return
        if needed > free:
            raise OutputProblem(
                f"{folder}: has {free} bytes free and {self.spec} needs {needed} more; "
                "free space, or set HF_HUB_CACHE to another folder"
            )

    def _tell(self, done: int, total: int) -> None:
        if self._progress and (done, total) != self._told:
            self._told = done, total
            self._progress(done, total)

    def _tell_more(self, others: int, total: int, here: int) -> None:
        self._tell(others + here, total)
