"""A repository of a hub as a list of files, of which only what rules look at is fetched."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from qaudit.checkpoints.hub_client import HubPlace, ask_listing, place_from_environment
from qaudit.checkpoints.hub_listing import HubFile, every_file
from qaudit.checkpoints.hub_ranges import HubRanges
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.checkpoints.shard_names import set_of_name
from qaudit.errors import InputError
from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.kinds import HEAD_BYTES, kind_of

AT_ONCE = 8  # files whose first bytes are asked for together
MOST_FILES = 2000


@dataclass(frozen=True, slots=True)
class HubBytes:
    """One file of a commit; see `ByteSource`."""

    ranges: HubRanges
    file: HubFile
    name: str
    local: bool = False

    @property
    def size(self) -> int:
        """In bytes, as the hub lists it."""
        return self.file.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset`; see `ByteSource`."""
        return self.ranges.read(self.file, max(0, offset), length) if length > 0 else b""

    def __call__(self) -> ByteSource:
        """Give itself: there is nothing to open."""
        return self


@dataclass(frozen=True, slots=True)
class HubDownload:
    """What a hub lists, before it is downloaded.

    Attributes:
        spec: what was named, at the commit that the revision was.
        view: its files.
        ranges: tells how much was fetched.
    """

    spec: HubSpec
    view: FolderView
    ranges: HubRanges


def survey_hub(spec: HubSpec, place: HubPlace | None = None) -> HubDownload:
    """List a repository, a folder in it, or a file with the other parts of its split set.

    Args:
        spec: which.
        place: the hub; None for the one that the environment names.

    Raises:
        HubUnreachable: there is no network, or the hub is down.
        InputError: the hub has no such thing, or not for this user.
        MalformedFile, LimitExceeded: its listing is not one of a hub.
        MissingExtra: huggingface_hub is not installed.
    """
    place = place or place_from_environment()
    listing = ask_listing(place, spec, every_file)
    pinned = spec.at(listing.commit)
    ranges = HubRanges(place, pinned)
    single = spec.file in listing.by_path
    files = _set_of(spec.file or "", listing.by_path) if single else _inside(pinned, listing.files)
    cut = len((spec.file or "").rpartition("/")[0]) if single else len(spec.file or "")
    sources = [HubBytes(ranges, file, file.path[cut:].lstrip("/")) for file in files[:MOST_FILES]]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="qaudit-hub") as pool:
        entries = tuple(pool.map(_entry, sources))
    left_out = (
        (Surface("", "folder", "partial", f"{len(files)} files; only {MOST_FILES} are looked at"),)
        if len(files) > MOST_FILES
        else ()
    )
    return HubDownload(pinned, FolderView(str(pinned), entries, single=single, left_out=left_out), ranges)


def _entry(source: HubBytes) -> Entry:
    try:
        kind = kind_of(source.name, source.read_at(0, HEAD_BYTES))
    except InputError:  # the inspector of the whole says which file was not looked at
        return Entry(source.name, source.size, "other", None, sha256=source.file.sha256)
    return Entry(source.name, source.size, kind, source, sha256=source.file.sha256)


def _inside(spec: HubSpec, files: tuple[HubFile, ...]) -> list[HubFile]:
    start = f"{spec.file}/" if spec.file else ""
    found = [file for file in files if file.path.startswith(start)]
    if not found:
        raise InputError(f"{spec}: the commit holds no such file or folder; check the name")
    return found


def _set_of(path: str, listed: dict[str, HubFile]) -> list[HubFile]:
    folder, slash, name = path.rpartition("/")
    names = (f"{folder}{slash}{each}" for each in set_of_name(name))
    return [listed[each] for each in names if each in listed]
