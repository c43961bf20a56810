"""The revocation list: digests of statements that must no longer pass, one a line.

A key proves no time and cannot be revoked for one release alone, so the consumer keeps a list.
Text file: a lower-case SHA-256 first on each line, anything after white space is a remark, `#`
starts a comment line.
"""

import re
from pathlib import Path

from qaudit.errors import MalformedFile
from qaudit.files import read_bounded

REVOCATION_LIMIT = 16 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read_revocations(path: Path) -> frozenset[str]:
    """Return the revoked statement digests.

    Raises:
        InputError: the file cannot be read.
        MalformedFile: a line does not start with a digest; a list that is half understood would
            let revoked releases pass.
    """
    raw = read_bounded(path, REVOCATION_LIMIT)
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise MalformedFile(path, "not UTF-8 text", "is it the right file?") from error
    digests: set[str] = set()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not _DIGEST.fullmatch(words[0]):
            raise MalformedFile(path, f"line {number} does not start with a SHA-256", "correct the line")
        digests.add(words[0])
    return frozenset(digests)
