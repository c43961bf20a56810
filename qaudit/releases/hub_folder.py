"""A release on a hub as a plain folder that the gate can list.

The hub's cache shows a commit as links to blobs, and a signed checkpoint holds no links. So the blobs
get second names in a folder of our own, which costs no space where the disk has hard links.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.layout import BUNDLE_LIMIT, find_signature, read_regular
from qaudit.checkpoints.hub_release import HUBS_OWN, FetchedRelease
from qaudit.errors import QauditError
from qaudit.releases.shown_files import scratch_folder, show
from qaudit.strict_json import load_strict


@contextlib.contextmanager
def hub_folder(fetched: FetchedRelease) -> Iterator[Path]:
    """Give a folder (or a file with its signatures beside it) that lasts as long as the block.

    `.gitattributes`, which hubs put at the top of every repository for git, is left out unless it is
    signed: no loader reads it.

    Raises:
        InputError: a file of the cache cannot be read.
        OutputProblem: the folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        # on the cache's own disk, as hard links cannot lead to another
        scratch = stack.enter_context(scratch_folder(fetched.cache))
        top = scratch / ("files" if fetched.single else fetched.spec.repo.rpartition("/")[2])
        top.mkdir(mode=0o700)
        for name, source in fetched.files.items():
            if name != HUBS_OWN:
                show(source, top.joinpath(*name.split("/")), scratch)
        shown = top / fetched.single if fetched.single else top
        # only a repository has the file at its top, and a name of it elsewhere is one like any other
        own = fetched.files.get(HUBS_OWN)
        if own and (fetched.single or fetched.spec.file or _is_signed(shown, HUBS_OWN)):
            show(own, top / HUBS_OWN, scratch)
        yield shown


def _is_signed(checkpoint: Path, name: str) -> bool:
    """Say whether a signature lists a name: not yet believed, the gate compares in either case."""
    try:
        where = find_signature(checkpoint)
        statement = load_strict(parse_bundle(read_regular(where, BUNDLE_LIMIT), where).payload)
    except (QauditError, ValueError):
        return False  # the gate says what is wrong with it
    return name in _names(statement)


def _names(statement: object) -> set[object]:
    if not isinstance(statement, dict):
        return set()
    predicate = statement.get("predicate")
    rows = [statement.get("subject"), predicate.get("resources") if isinstance(predicate, dict) else None]
    listed = (row for part in rows if isinstance(part, list) for row in part)
    return {row["name"] for row in listed if isinstance(row, dict) and isinstance(row.get("name"), str)}
