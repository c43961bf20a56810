"""The safetensors files of a download, each header read once, and the models that they make up.

A download's files are asked for by several rules, and on a hub each reading is a request: what was read
of the download that is being looked at is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from qaudit.errors import InputError
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case, opened
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.tensors.safetensors_walk import (
    SafetensorsWalk,
    StoredTensor,
    walk_safetensors,
)

MAX_FILES = 4096
SUFFIX = ".safetensors"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor and the file that it lies in."""

    entry: Entry
    walk: SafetensorsWalk
    tensor: StoredTensor

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.tensor.name

    @property
    def place(self) -> str:
        """`file:tensor`, for a person."""
        return f"{self.walk.name}:{ascii(self.tensor.name[:160])[1:-1]}"


@dataclass(slots=True)
class WeightFolder:
    """The safetensors files of one folder of a download.

    Attributes:
        path: with a slash at its end, empty for the download's own folder.
        unread: files that could not be read, with the reason.
    """

    path: str
    walks: list[tuple[Entry, SafetensorsWalk]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all headers were read to their end."""
        return not self.unread and all(walk.complete for _, walk in self.walks)

    @property
    def bloated(self) -> bool:
        """Whether a header holds more entries than any model, of which only the first were read."""
        return any(walk.bloated for _, walk in self.walks)

    def tensors(self) -> Iterator[Held]:
        """Return every tensor of every file."""
        for entry, walk in self.walks:
            for tensor in walk.tensors:
                yield Held(entry, walk, tensor)


def folder_of(path: str) -> str:
    """Return the folder of a file, with a slash at its end; empty at the top."""
    cut = path.rfind("/")
    return path[: cut + 1]


def base_name(path: str) -> str:
    """Return the last part of a path."""
    return path[path.rfind("/") + 1 :]


def weight_folders(folder: FolderView) -> list[WeightFolder]:
    """Return the folders that hold safetensors, in order of their paths."""
    found: dict[str, WeightFolder] = {}
    kept = _KEPT.of(folder)
    for number, entry in enumerate(folder.of_kind("safetensors")):
        home = found.setdefault(folder_of(entry.path), WeightFolder(folder_of(entry.path)))
        if number >= MAX_FILES:
            home.unread.append((entry.path, f"more than {MAX_FILES} safetensors files"))
            continue
        try:
            if entry.path not in kept:
                with opened(entry) as source:
                    kept[entry.path] = walk_safetensors(source)
        except InputError as error:
            home.unread.append((entry.path, str(error)))
        else:
            home.walks.append((entry, kept[entry.path]))
    return [found[path] for path in sorted(found)]


def walked(source: ByteSource, case: Case) -> SafetensorsWalk:
    """Return the walk of a file, and keep it for the rules over the download that it is part of.

    Raises:
        InputError: the file cannot be read.
    """
    if case.folder is None or case.folder.by_path.get(source.name) is None:
        return walk_safetensors(source)
    kept = _KEPT.of(case.folder)
    if source.name not in kept:
        kept[source.name] = walk_safetensors(source)
    return kept[source.name]


class _Kept:
    """What was read of the download that was looked at last."""

    def __init__(self) -> None:
        self.folder: FolderView | None = None
        self.walks: dict[str, SafetensorsWalk] = {}

    def of(self, folder: FolderView) -> dict[str, SafetensorsWalk]:
        # a download is the same only as long as it is the same object: files on disk may change between two
        if self.folder is not folder:
            self.folder, self.walks = folder, {}
        return self.walks


_KEPT = _Kept()
