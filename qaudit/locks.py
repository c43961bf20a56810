"""A file that one process at a time holds, where several share a folder."""

import contextlib
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path

from qaudit.errors import OutputProblem

# what file systems without locks answer; those that share one do without
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL})


@contextlib.contextmanager
def locked(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file, which is made and left there; the lock goes with the process, however that ends.

    Args:
        path: of the lock file; its folder must be there.
        busy: what to say when another process holds it; None to wait until it does not.

    Raises:
        OutputProblem: the file cannot be made, or another process holds it and `busy` is given.
    """
    try:
        lock = path.open("w")
    except OSError as error:
        raise OutputProblem(
            f"{path.parent}: cannot write ({error.strerror}); choose another folder"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise OutputProblem(f"{path.parent}: {busy}") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
