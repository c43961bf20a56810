"""What hubs said about commits, kept so that a run without a network still checks every digest.

One file a commit, in qaudit's own cache folder: `$XDG_CACHE_HOME/qaudit/hub/<hub>/<repo>/<commit>.json`.
A commit never changes, so a hub that lists it differently the next time is not believed.
"""

import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from qaudit.checkpoints.hf_repo import CARRIED
from qaudit.checkpoints.hub_library import make_cache_folder
from qaudit.checkpoints.hub_listing import Listing, is_readable
from qaudit.checkpoints.hub_spec import is_commit, is_plain_path
from qaudit.errors import MalformedFile
from qaudit.files import read_bounded, write_atomically

MAX_RECORD_BYTES = 64 << 20
_DELETE = "delete this record and ask the hub again"


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal["qaudit/hub-listing/v1"] = "qaudit/hub-listing/v1"
    names: tuple[str, ...] = CARRIED  # which small files were readable then
    listing: Listing


def records_folder() -> Path:
    """Return the folder of records: below `XDG_CACHE_HOME`, or `~/.cache`."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "qaudit" / "hub"


def recall(endpoint: str, repo: str, commit: str) -> Listing | None:
    """Return what the hub once said about a commit, or None if it was never asked.

    Raises:
        MalformedFile: the record is not one that qaudit wrote.
    """
    path = _folder(endpoint, repo) / f"{commit}.json"
    if not path.is_file():
        return None
    try:
        record = _Record.model_validate_json(read_bounded(path, MAX_RECORD_BYTES))
    except ValidationError as error:
        raise MalformedFile(path, "is no record of a hub's listing", _DELETE) from error
    if record.names != CARRIED:
        return None  # another version of qaudit read other files
    listing = record.listing
    sound = all(is_plain_path(f.path) and is_readable(f.path) and f.digest for f in listing.files)
    if (listing.repo, listing.commit) != (repo, commit) or not sound:
        raise MalformedFile(path, "is a record of something else", _DELETE)
    return listing


def remember(endpoint: str, listing: Listing) -> None:
    """Keep what a hub says about a commit.

    Raises:
        MalformedFile: it said something else before.
        OutputProblem: the record cannot be written.
    """
    known = recall(endpoint, listing.repo, listing.commit)
    path = _folder(endpoint, listing.repo) / f"{listing.commit}.json"
    if known == listing:
        return
    if known is not None:
        changed = _first_change(known, listing)
        raise MalformedFile(
            path,
            f"the hub now lists {changed!a:.100} otherwise than before, and commits never change",
            "use neither, or delete this record to believe the hub",
        )
    make_cache_folder(path.parent, "XDG_CACHE_HOME")
    write_atomically(path, _Record(listing=listing).model_dump_json(indent=1, exclude_none=True))


def known_commits(endpoint: str, repo: str) -> list[str]:
    """Return the commits of a repository that records are kept of, the latest record first."""
    try:
        records = [(p.stat().st_mtime_ns, p.stem) for p in _folder(endpoint, repo).glob("*.json")]
    except OSError:
        return []
    return [commit for _, commit in sorted(records, reverse=True) if is_commit(commit)]


def _folder(endpoint: str, repo: str) -> Path:
    hub = urlsplit(endpoint)
    # a hub's address may hold a password
    address = hub.netloc.rpartition("@")[2] + hub.path
    return records_folder() / quote(address, safe="") / repo.replace("/", "--")


def _first_change(known: Listing, now: Listing) -> str:
    before, after = ({file.path: file for file in listing.files} for listing in (known, now))
    return next(path for path in sorted({*before, *after}) if before.get(path) != after.get(path))
