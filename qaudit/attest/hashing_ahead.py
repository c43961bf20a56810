"""The files of a checkpoint hashed while something else goes on, such as imports and the check of a report.

Nothing that happens here decides anything: what cannot be listed or read is left to the gate, which finds it
in its own place and says so, and a digest counts only if its file is still the one that was read: the times
that a disk notes of it must be the same, and so old that a later write cannot have been given them too.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Self

from qaudit.attest import manifest
from qaudit.attest.manifest import Ahead, Entry, hash_entry, largest_first, list_files
from qaudit.errors import QauditError
from qaudit.values import FileDigest

# a thread that comes back from hashing waits until another lets it run on: it should come back seldom
CHUNK = 4 << 20
# a disk's times move in steps (a few milliseconds; FAT's are two seconds): what was written so short a time
# before it was read can be written again without another time
SETTLED_NS = 2_500_000_000
# digest, status before it was read, and whether its times had settled by then
_Hashed = tuple[FileDigest, os.stat_result, bool]


class _Stopped(QauditError):
    """Nobody wants the digest, or not any more."""


class HashingAhead:
    """Hashes inside a `with` block; at its end, hashing that is not done is given up.

    Args:
        path: the checkpoint, as `qaudit.attest.manifest.list_files` takes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = Event()
        self._counting = Lock()
        self._untold = 0
        self._on_read: Callable[[int], None] | None = None
        self._pool = ThreadPoolExecutor(manifest.THREADS, thread_name_prefix="qaudit-ahead")
        self._begun: Future[Mapping[Entry, Future[_Hashed]]] | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self._begun = self._pool.submit(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is not done."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def telling(self, on_read: Callable[[int], None] | None) -> Ahead:
        """Return what gives the digest of a file, and tell from now on what is read; what was, at once.

        It waits for a file that is being hashed. It returns None for one that was not hashed, is not what
        it was when it was, or was written just before.
        """
        with self._counting:
            self._on_read, untold, self._untold = on_read, self._untold, 0
        if on_read is not None and untold:
            on_read(untold)
        return self._digest

    def _begin(self) -> Mapping[Entry, Future[_Hashed]]:
        entries = list_files(self._path)
        return {entry: self._pool.submit(self._hash, entry) for entry in largest_first(entries)}

    def _digest(self, entry: Entry) -> FileDigest | None:
        if self._begun is None:
            return None
        try:
            hashing = self._begun.result().get(entry)
            if hashing is None:
                return None
            digest, status, settled = hashing.result()
            now = entry.path.lstat()
        except (QauditError, OSError):
            return None
        return digest if settled and _stamp(now) == _stamp(status) else None

    def _hash(self, entry: Entry) -> _Hashed:
        begun = time.time_ns()
        if not _settled(entry.path.lstat(), begun):
            raise _Stopped("it would not count")
        digest, status = hash_entry(entry, self._read)
        return digest, status, _settled(status, begun)

    def _read(self, stream: FileIO) -> str:
        digest = hashlib.sha256()
        size = os.fstat(stream.fileno()).st_size
        buffer = memoryview(bytearray(max(1, min(size + 1, CHUNK))))
        while count := stream.readinto(buffer):
            if self._stop.is_set():
                raise _Stopped("stopped")
            digest.update(buffer[:count])
            self._tell(count)
        return digest.hexdigest()

    def _tell(self, count: int) -> None:
        with self._counting:
            on_read = self._on_read
            if on_read is None:
                self._untold += count
        if on_read is not None:
            on_read(count)


def _settled(status: os.stat_result, now: int) -> bool:
    return max(status.st_mtime_ns, status.st_ctime_ns) <= now - SETTLED_NS


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )  # fmt: skip
