"""What every inspector is told besides the file that it looks at."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.errors import InputError
from qaudit.static.byte_source import ByteSource, LocalBytes
from qaudit.static.folder_view import Entry, FolderView


@dataclass(frozen=True, slots=True)
class Case:
    """How to look, and what lies around the file.

    Attributes:
        deep: also read the bulk of the weights, which takes as long as the disk does.
        folder: the download that the file is part of; None where it was given alone.
    """

    deep: bool = False
    folder: FolderView | None = None


@contextlib.contextmanager
def opened(entry: Entry) -> Iterator[ByteSource]:
    """Give an entry's bytes, and let go of the file afterwards.

    Raises:
        InputError: it must not or cannot be opened.
        HubUnreachable: its hub does not answer.
    """
    if entry.open is None:
        raise InputError(f"{entry.path}: cannot be opened; is it a link that leads out, or no regular file?")
    source = entry.open()
    try:
        yield source
    finally:
        if isinstance(source, LocalBytes):
            source.close()
