"""`hf://org/repo[@revision][/file]`: which model of a hub, at which revision, and which part of it.

The syntax is the hub's own (`huggingface_hub.parse_hf_uri`), for models only and with fewer characters:
what is accepted here can be put into a URL and be joined to a folder.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from qaudit.errors import InputError

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes that are needed (which may grow once)."""

PREFIX = "hf://"
MAX_SPEC = 2048  # characters
MAX_PATH = 1024  # characters, of a file in a repository
MAX_PART = 255  # bytes, of one name in a path
_COLLAPSED = "hf:/"  # what pathlib makes of the prefix
_FORM = "hf://org/repo[@revision][/file]"
_KINDS = ("models", "datasets", "spaces", "kernels", "buckets")  # the hub's other things, by first word
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_REVISION_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SLASHED = re.compile(r"refs/(?:pr/[0-9]+|convert/[A-Za-z0-9_.-]+)(?=/|$)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NOT_IN_NAMES = frozenset('\\:*?"<>|')  # no name of a file on every system


@dataclass(frozen=True, slots=True)
class HubSpec:
    """A reference into a hub.

    Attributes:
        repo: organisation and name, `org/repo`.
        revision: a branch, tag or commit; None for the hub's default branch.
        file: a file or folder in the repository; None for its top folder.
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    @property
    def pinned(self) -> bool:
        """Whether the revision is a whole commit id, which always means the same files."""
        return self.revision is not None and is_commit(self.revision)

    def at(self, commit: str) -> "HubSpec":
        """Return the same files at a commit."""
        return replace(self, revision=commit)

    def __str__(self) -> str:
        revision = self.revision
        if revision is not None and not _SLASHED.fullmatch(revision):
            revision = revision.replace("/", "%2F")
        return (
            PREFIX + self.repo + (f"@{revision}" if revision else "") + (f"/{self.file}" if self.file else "")
        )


def is_hub_spec(text: str) -> bool:
    """Say whether a text means a hub and no local path."""
    return text.startswith(PREFIX)


def hub_text(path: str | Path) -> str | None:
    """Return the reference that was given, or None for a local path.

    A `Path` made of a reference has lost a slash, which is put back unless there is such a local path.
    """
    if isinstance(path, str):
        return path if is_hub_spec(path) else None
    text = path.as_posix()
    if not text.startswith(_COLLAPSED):
        return None
    try:
        local = path.exists()
    except (OSError, ValueError):
        local = False
    return None if local else PREFIX + text.removeprefix(_COLLAPSED)


def is_commit(text: str) -> bool:
    """Say whether this is a whole commit id: 40 lower-case hex digits."""
    return _COMMIT.fullmatch(text) is not None


def is_plain_path(path: str) -> bool:
    """Say whether a path of a repository can be joined to any local folder and stays in it."""
    if len(path) > MAX_PATH or not path.isprintable():
        return False
    return all(
        part not in ("", ".", "..")
        and part.strip(" ") == part
        and not part.endswith(".")
        and len(part.encode()) <= MAX_PART
        and _NOT_IN_NAMES.isdisjoint(part)
        for part in path.split("/")
    )


def parse_hub_spec(text: str) -> HubSpec:
    """Read a reference.

    Raises:
        InputError: it is not of the form, names something that is no model, or holds a name that leads
            elsewhere.
    """
    shown = f"{text[:200]!a}"
    if not is_hub_spec(text) or len(text) > MAX_SPEC:
        raise InputError(f"{shown}: is no reference into a hub; write {_FORM}")
    owner, slash, rest = text.removeprefix(PREFIX).partition("/")
    if owner in _KINDS and slash:
        raise InputError(f"{shown}: {owner} is a kind of repository and no owner; write {_FORM}, for models")
    end = re.search(r"[@/]|$", rest)
    name = rest[: end.start()] if end else rest
    rest = rest[len(name) :]
    for part in (owner, name):
        if not _NAME.fullmatch(part) or ".." in part or "--" in part or part.endswith((".git", ".ipynb")):
            raise InputError(f"{shown}: {part!a:.100} is no name on a hub; write {_FORM}")
    repo = f"{owner}/{name}"
    if len(repo) > 96:
        raise InputError(f"{shown}: {repo!a} is longer than a hub's names are; write {_FORM}")
    revision = None
    if rest.startswith("@"):
        slashed = _SLASHED.match(rest, 1)
        given = slashed[0] if slashed else rest[1:].partition("/")[0]
        rest = rest[1 + len(given) :]
        revision = _revision(given, shown)
    if not rest:
        return HubSpec(repo, revision)
    file = rest.removeprefix("/")
    if not is_plain_path(file):
        raise InputError(f"{shown}: {file!a:.100} is no plain path in a repository; write {_FORM}")
    return HubSpec(repo, revision, file)


def _revision(given: str, shown: str) -> str:
    revision = re.sub("%2F", "/", given, flags=re.IGNORECASE)
    parts = revision.split("/")
    if (
        len(revision) > MAX_PART
        or ".." in revision
        or not all(_REVISION_PART.fullmatch(part) and not part.endswith((".", ".lock")) for part in parts)
    ):
        raise InputError(
            f"{shown}: {given!a:.100} is no branch, tag or commit; write {_FORM}, with %2F for a slash in it"
        )
    return revision
