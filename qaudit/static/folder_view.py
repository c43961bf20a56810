"""A download as a list of files, on disk or on a hub, that rules over the whole of it look at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource

# what a file is by its first bytes and, where these say nothing, by its name
FileKind = Literal[
    "gguf", "ggml", "safetensors", "pickle", "zip", "archive", "config", "tokenizer", "template", "modelfile",
    "python", "native", "script", "notebook", "readme", "lfs-pointer", "text", "other",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a download.

    Attributes:
        path: relative, with slashes.
        size: in bytes; 0 for a folder's link or a device.
        kind: by content first; `other` where the bytes cannot be had.
        open: gives its bytes; None where it must not or cannot be opened (a link that leads out, a socket).
        link: where a symbolic link leads, as written; None for plain files.
        sha256: where the hub lists it.
    """

    path: str
    size: int
    kind: FileKind
    open: Callable[[], ByteSource] | None
    link: str | None = None
    escapes: bool = False
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FolderView:
    """All files of a download.

    Attributes:
        name: for locations: the folder's name, or `hf://org/repo@commit`.
        single: the download is one file that was named; rules about what should be beside it do not hold.
        left_out: what is there and was not listed (version control, what is over a limit), and why.
    """

    name: str
    entries: tuple[Entry, ...]
    single: bool = False
    left_out: tuple[Surface, ...] = ()
    by_path: dict[str, Entry] = field(init=False, hash=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_path", {entry.path: entry for entry in self.entries})

    def of_kind(self, *kinds: FileKind) -> Iterable[Entry]:
        """Return the entries of some kinds, in order of their paths."""
        return (entry for entry in self.entries if entry.kind in kinds)
