"""SHA-256 of all files of a download, several at once: hashing releases Python's lock."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from qaudit.errors import InputError
from qaudit.findings import FileDigest, Surface
from qaudit.processors import available_threads
from qaudit.static.case import opened
from qaudit.static.folder_view import Entry

# a read that stays in the processor's cache until it is hashed
CHUNK = 1 << 18
# of a file on a hub that lists no SHA-256 of it: those that git holds itself are smaller
MOST_FETCHED = 64 << 20
TOLD_EVERY_S = 0.25


def hash_all(
    entries: Sequence[Entry],
    surfaces: list[Surface],
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[FileDigest, ...]:
    """Return the digests of all files that can be opened, in order.

    Args:
        entries: the files; of one that is not on this disk the hub's digest is taken where it lists one.
        surfaces: gets one more for each file that cannot be hashed.
        progress: called with each path when it is done, how many are done and how many there are; now and
            then also with how much of one is hashed while it is waited for.
    """
    digests = []
    jobs = [_Hashing(entry) for entry in entries]
    with ThreadPoolExecutor(max_workers=min(16, available_threads())) as pool:
        for number, (job, waited) in enumerate([(job, pool.submit(job.result)) for job in jobs]):
            entry = job.entry
            while progress and wait([waited], TOLD_EVERY_S).not_done:
                progress(f"{entry.path}, {100 * job.done // max(1, entry.size)} % hashed", number, len(jobs))
            found = waited.result()
            if progress:
                progress(entry.path, number + 1, len(jobs))
            if isinstance(found, FileDigest):
                digests.append(found)
            else:
                surfaces.append(Surface(entry.path, "hash", "skipped", found))
    return tuple(digests)


@dataclass(slots=True)
class _Hashing:
    """One file and how many bytes of it are hashed so far."""

    entry: Entry
    done: int = 0

    def result(self) -> FileDigest | str:
        """Return the file's digest, or why there is none."""
        entry = self.entry
        if entry.open is None:
            return "cannot be opened"
        try:
            with opened(entry) as source:
                if not source.local and entry.sha256:
                    return FileDigest(entry.path, entry.size, entry.sha256)
                if not source.local and source.size > MOST_FETCHED:
                    return f"is not on this disk and over {MOST_FETCHED} bytes; download it first"
                digest = hashlib.sha256()
                while self.done < source.size:
                    data = source.read_at(self.done, CHUNK)
                    digest.update(data)
                    self.done += len(data)
                return FileDigest(entry.path, self.done, digest.hexdigest())
        except InputError as error:
            return str(error)
