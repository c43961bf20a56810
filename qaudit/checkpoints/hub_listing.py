"""What a hub says a commit is made of: the files that qaudit could read, with sizes and digests.

A listing comes from outside (the hub's answer, or our own record of an earlier one) and is checked
before any name in it becomes a path or any size is believed.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from qaudit.checkpoints.hf_repo import CARRIED
from qaudit.checkpoints.hub_spec import is_plain_path
from qaudit.errors import LimitExceeded, MalformedFile

MAX_LISTED = 100_000
MAX_FILE_BYTES = 1 << 50
WEIGHTS = (".safetensors", ".gguf")
_AGAIN = "check HF_ENDPOINT, or try again later"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Sha1 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


class HubFile(BaseModel):
    """A file at one commit, as the hub lists it.

    Attributes:
        path: its path in the repository.
        size: in bytes.
        sha256: its digest; None for a small file that git holds itself.
        blob_id: git's id of it: SHA-1 over `blob <size>`, a NUL and the bytes (with `sha256`: of a pointer).
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    path: str
    size: int = Field(ge=0, le=MAX_FILE_BYTES)
    sha256: Sha256 | None = None
    blob_id: Sha1 | None = None

    @property
    def digest(self) -> str:
        """What its bytes are held to, which is also its name in the hub's cache."""
        return self.sha256 or self.blob_id or ""


class Listing(BaseModel):
    """The readable files of one commit, in order of their paths."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    repo: str
    commit: Sha1
    files: tuple[HubFile, ...]

    @functools.cached_property
    def by_path(self) -> dict[str, HubFile]:
        """The files by their paths."""
        return {file.path: file for file in self.files}


def is_readable(path: str) -> bool:
    """Say whether qaudit reads files of this name: no code and no pickle is among them."""
    return path.endswith(WEIGHTS) or path.rpartition("/")[2] in CARRIED


def every_file(path: str) -> bool:
    """Say that a file of any name is meant: for signatures, which cover what qaudit never reads too."""
    return True


def checked_listing(
    shown: str,
    repo: str,
    commit: object,
    rows: Iterable[tuple[object, object, object, object]],
    keep: Callable[[str], bool] = is_readable,
) -> Listing:
    """Check a hub's answer.

    Args:
        shown: what was asked, for messages.
        repo: which repository was asked for.
        commit: the commit that the hub named.
        rows: (path, size, sha256, blob id) of every file.
        keep: which names are meant; those that cannot be joined to a folder are left out silently, but
            not where every file is meant.

    Raises:
        LimitExceeded: it lists too many files.
        MalformedFile: it lists what no repository holds, or a file without size or digest.
    """
    files: dict[str, HubFile] = {}
    for number, (path, size, sha256, blob_id) in enumerate(rows):
        if number >= MAX_LISTED:
            raise LimitExceeded(shown, f"the hub lists over {MAX_LISTED} files", _AGAIN)
        if not isinstance(path, str):
            raise MalformedFile(shown, "the hub lists a file without a name", _AGAIN)
        # git cannot hold these: whoever lists them wants something to be written elsewhere
        if not {"", ".", ".."}.isdisjoint(path.split("/")) or "\0" in path:
            raise MalformedFile(shown, f"the hub lists {path[:80]!a}, which leads out of it", _AGAIN)
        if path in files:
            raise MalformedFile(shown, f"the hub lists {path[:80]!a} twice", _AGAIN)
        if not is_plain_path(path):
            if keep is every_file:
                raise MalformedFile(
                    shown, f"holds {path[:80]!a}, a name that not every disk can hold", "rename it there"
                )
            continue
        if not keep(path):
            continue
        if not sha256 and not blob_id:
            raise MalformedFile(shown, f"the hub gives no digest of {path[:80]!a}", _AGAIN)
        try:
            files[path] = HubFile.model_validate(
                {"path": path, "size": size, "sha256": sha256, "blob_id": blob_id}
            )
        except ValidationError as error:
            what = error.errors(include_url=False)[0]
            field = ".".join(map(str, what["loc"]))
            raise MalformedFile(
                shown, f"the hub lists {path[:80]!a} with a {field} of {what['input']!r:.80}", _AGAIN
            ) from error
    try:
        return Listing.model_validate(
            {"repo": repo, "commit": commit, "files": tuple(files[name] for name in sorted(files))}
        )
    except ValidationError as error:
        raise MalformedFile(shown, f"the hub names no commit but {commit!r:.80}", _AGAIN) from error
