"""One door for every place that a signed release can lie in: a name in, a folder for the gate out."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qaudit.attest.private_copy import name_originals
from qaudit.checkpoints.hub_spec import Progress, hub_text, parse_hub_spec
from qaudit.errors import QauditError

if TYPE_CHECKING:
    from qaudit.checkpoints.hub_release import FetchedRelease

OCI_SCHEME = "oci:"


@dataclass(frozen=True, slots=True)
class OpenedRelease:
    """A release that the gate can read.

    Attributes:
        path: the file or folder; on a hub or in a layout it is gone after the block.
        shown: what it is called: a hub's release by its commit, an artifact by its digest.
        lasting: turns a file below `path`, or beside it, into the same one in a place that stays.
    """

    path: Path
    shown: str
    lasting: Callable[[Path], Path]


@contextlib.contextmanager
def open_release(
    given: str | Path, *, max_bytes: int | None = None, progress: Progress | None = None
) -> Iterator[OpenedRelease]:
    """Open a release for as long as a block runs; errors in the block name what was given.

    Args:
        given: a path, `hf://org/repo[@revision][/file]`, or `oci:LAYOUT[:TAG|@sha256:DIGEST]`.
        max_bytes: the most that may be fetched from a hub; None for no limit.
        progress: called with the bytes of it that are there and the bytes needed.

    Raises:
        InputError: there is no such release.
        MalformedFile, LimitExceeded: it is not as its hub or layout says.
        HubUnreachable, OutputProblem, MissingExtra: it cannot be fetched.
    """
    if str(given).startswith(OCI_SCHEME):
        # only for layouts, and what hubs bring only for hubs: a release on a disk does without
        from qaudit.releases.oci_folder import oci_artifact, oci_folder

        with oci_folder(oci_artifact(str(given))) as (path, shown, blobs), _told(path, shown):
            yield OpenedRelease(path, shown, lambda file: blobs.get(file, file))
    elif reference := hub_text(given):
        from qaudit.checkpoints.hub_release import fetch_release
        from qaudit.releases.hub_folder import hub_folder

        fetched = fetch_release(parse_hub_spec(reference), max_bytes=max_bytes, progress=progress)
        shown = str(fetched.spec)
        with hub_folder(fetched) as path:
            top, told = (path.parent, shown.rpartition("/")[0]) if fetched.single else (path, shown)
            with _told(top, told):
                yield OpenedRelease(path, shown, _in_cache(fetched, top))
    else:
        yield OpenedRelease(Path(given), str(given), lambda file: file)


@contextlib.contextmanager
def _told(copy: Path, shown: str) -> Iterator[None]:
    try:
        yield
    except QauditError as error:
        name_originals(error, {copy: shown})
        raise


def _in_cache(fetched: "FetchedRelease", top: Path) -> Callable[[Path], Path]:
    places: Mapping[Path, Path] = {
        top.joinpath(*name.split("/")): place for name, place in fetched.files.items()
    }
    return lambda file: places.get(file, file)
