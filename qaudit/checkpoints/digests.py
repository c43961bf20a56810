"""Which bytes a checkpoint is made of: one SHA-256 a file, one over them all."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qaudit.files import sha256_and_size, sha256_bytes
from qaudit.values import FileDigest


def digest_files(paths: Sequence[Path], root: Path) -> tuple[FileDigest, ...]:
    """Hash files in parallel (hashing leaves the interpreter lock); paths are kept relative to `root`.

    Raises:
        InputError: a file cannot be read.
    """
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(sha256_and_size, paths))
    return tuple(
        FileDigest(path.relative_to(root).as_posix(), size, digest)
        for path, (digest, size) in zip(paths, digests, strict=True)
    )


def combined_digest(files: Sequence[FileDigest]) -> str:
    """Return the digest that stands for a whole checkpoint.

    One file: its own SHA-256. Several: the SHA-256 of the lines `<sha256> <size> <path>`, each ended by
    a newline and sorted by path, so that names and sizes are bound too. As sha256sum does, a backslash
    or newline in a name is escaped, so that no name can pass for two lines.
    """
    if len(files) == 1:
        return files[0].sha256
    lines = [f"{f.sha256} {f.size} {_one_line(f.path)}\n" for f in sorted(files, key=lambda f: f.path)]
    return sha256_bytes("".join(lines).encode(errors="surrogateescape"))


def _one_line(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n")
