"""Files copied to where nobody else can write, so that what is checked there is what is loaded there.

Copy on write where the disk can do it (btrfs, xfs), else inside the kernel, else through memory. A
hard link is no copy: whoever has the old name open for writing would write to both.
"""

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qaudit.attest.layout import usable_path
from qaudit.errors import InputError, OutputProblem, QauditError, VerificationFailed

_CHUNK = 64 << 20
_MEMORY_CHUNK = 1 << 20
_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file until one of both is written to
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
# the disks or the kernel cannot do it this way; any other error is one of the copy itself
_OTHER_WAY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM}


@dataclass(frozen=True, slots=True)
class Copying:
    """One file: where it lies and where its copy goes."""

    source: Path
    target: Path


def private_folder(prefix: str, parent: Path | None) -> Path:
    """Make a folder that only this user can enter, in `parent` or where temporary files go.

    Raises:
        InputError: no folder can have this name.
        OutputProblem: it cannot be made, or the parent is one where anybody may put another in its place.
    """
    home = Path(tempfile.gettempdir()) if parent is None else usable_path(parent)
    try:
        status = home.stat()
        # without the sticky bit whoever may write to the parent may rename what is in it
        if not status.st_mode & stat.S_ISVTX and os.name == "posix":
            _refuse_shared(home, status)
        return Path(tempfile.mkdtemp(prefix=prefix, dir=home))
    except OSError as error:
        raise OutputProblem(
            f"{home}: cannot make a folder in it ({error.strerror}); choose another place"
        ) from error


def _refuse_shared(home: Path, status: os.stat_result) -> None:
    if status.st_mode & stat.S_IWOTH:
        raise OutputProblem(f"{home}: everybody may write there and swap what is in it; name another folder")
    if status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid):
        raise OutputProblem(
            f"{home}: its group may write there and swap what is in it; name another folder, or chmod g-w"
        )


def _is_own_group(number: int) -> bool:
    """Whether a group is this user's alone, as most Linux systems give one to everybody."""
    if os.name != "posix":
        return True
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(number)
    except KeyError:  # without a name nobody knows who is in it
        return False
    return (
        group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    )


def copy_privately(wanted: Iterable[Copying], folder: Path) -> None:
    """Copy files below a private folder, which must be there; copies are readable by their owner only.

    A file is copied up to the length that it has when it is opened: one that grows for ever ends too.

    Args:
        wanted: which files; every target is a new name below the folder.
        folder: the private folder, for the message when the disk is too small.

    Raises:
        InputError: a file cannot be read.
        VerificationFailed: it is a link, a pipe or a device by now.
        OutputProblem: a copy cannot be written, or the disk is too small for all of them.
    """
    files = tuple(wanted)
    _require_space(sum(_size(file.source) for file in files), folder)
    for file in files:
        _copy(file)


def name_originals(error: QauditError, originals: Mapping[Path, object]) -> None:
    """Put the names that a person knows into an error about copies, which are gone when it is read.

    Args:
        error: what was raised.
        originals: folders of copies (or single copies) to what they are copies of.
    """
    error.args = tuple(_with_originals(text, originals) for text in error.args)


def _with_originals(text: object, originals: Mapping[Path, object]) -> object:
    if isinstance(text, str):
        for copy in sorted(originals, key=lambda path: -len(str(path))):
            # a backslash in a name would be expanded as a template
            known = str(originals[copy]).replace("\\", r"\\")
            text = re.sub(rf"{re.escape(str(copy))}(?=[/\\:'\s]|$)", known, text)
    return text


def _require_space(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputProblem(
            f"{folder.parent}: has {free} bytes free and a private copy needs {needed};"
            " free space or name another folder"
        )


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error


def _copy(file: Copying) -> None:
    with contextlib.ExitStack() as stack:
        try:
            source = os.open(file.source, _READ)
            stack.callback(os.close, source)
            status = os.fstat(source)
        except OSError as error:
            if file.source.is_symlink():
                raise _swapped(file.source) from error
            raise _unreadable(file.source, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise _swapped(file.source)
        try:
            file.target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target = os.open(file.target, _WRITE, 0o400)
            stack.callback(os.close, target)
            if not _cloned(source, target):
                _copied(source, target, status.st_size)
        except OSError as error:
            raise OutputProblem(
                f"{file.target}: cannot copy {file.source} ({error.strerror}); name another folder"
            ) from error


def _cloned(source: int, target: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
    except ImportError:  # not a system with such disks
        return False
    except OSError as error:
        if error.errno in _OTHER_WAY:
            return False
        raise
    return True


def _copied(source: int, target: int, size: int) -> None:
    in_kernel = hasattr(os, "copy_file_range")
    left = size
    while left > 0:
        if in_kernel:
            try:
                done = os.copy_file_range(source, target, min(left, _CHUNK))
            except OSError as error:
                if error.errno not in _OTHER_WAY:
                    raise
                in_kernel = False
                continue
        else:
            done = _written(target, os.read(source, min(left, _MEMORY_CHUNK)))
        if done == 0:  # it became shorter; the gate will say so
            return
        left -= done


def _written(target: int, data: bytes) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]
    return len(data)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be read ({error.strerror}); check the path and permissions")


def _swapped(path: Path) -> VerificationFailed:
    return VerificationFailed(f"{path}: was replaced by something that is no file; do not load it")
