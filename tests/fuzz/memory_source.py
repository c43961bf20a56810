"""A file, and a folder of one or more, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.kinds import HEAD_BYTES, kind_of


@dataclass(frozen=True, slots=True)
class MemoryBytes:
    """A ByteSource over bytes."""

    name: str
    data: bytes
    local: bool = True

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length] if offset >= 0 and length > 0 else b""


def folder_of(files: Mapping[str, bytes]) -> FolderView:
    """A download of files in memory."""
    return FolderView(
        "fuzzed",
        tuple(
            Entry(
                path,
                len(data),
                kind_of(path, data[:HEAD_BYTES]),
                lambda path=path, data=data: MemoryBytes(path, data),
            )  # type: ignore[misc]
            for path, data in sorted(files.items())
        ),
    )
