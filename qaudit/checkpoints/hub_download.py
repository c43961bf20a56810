"""Bringing the bytes of one file of a commit, going on where an earlier run was cut.

Over plain HTTP with ranges: huggingface_hub throws a download away that was cut, so the part that came is
kept by us; Xet, which has no ranges to go on with, is never asked for.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from qaudit.checkpoints.hub_client import OURSELVES, HubPlace
from qaudit.checkpoints.hub_library import explained, library, quiet, unwritable
from qaudit.checkpoints.hub_listing import HubFile
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.errors import InputError, MalformedFile


def download(place: HubPlace, spec: HubSpec, file: HubFile, to: Path, tell: Callable[[int], None]) -> None:
    """Append to a file what it lacks of a hub's file; what came before an error stays there.

    Args:
        place: the hub.
        spec: the repository at a commit.
        file: which file of it.
        to: what is appended to.
        tell: called with the number of bytes that are there.

    Raises:
        HubUnreachable: there is no network, or the hub is down.
        InputError: it may not be read, or is too large for HTTP.
        OutputProblem: the disk is full or may not be written to.
        MalformedFile: the hub sends more or fewer bytes than it lists.
    """
    hub, shown = library(), str(HubSpec(spec.repo, spec.revision, file.path))
    with quiet(), explained(place.name, shown):
        url = hub.hf_hub_url(spec.repo, file.path, revision=spec.revision, endpoint=place.endpoint)
        # compressed bytes could not be gone on with. The client drops the token when it is sent elsewhere
        headers = hub.utils.build_hf_headers(**OURSELVES) | {"Accept-Encoding": "identity"}
        try:
            with _Partial(to, file.size, shown, tell) as stream:
                held = stream.tell()
                if held == 0 and file.size > hub.constants.MAX_HTTP_DOWNLOAD_SIZE:
                    raise InputError(
                        f"{shown}: hubs send no {file.size} bytes over HTTP; run `hf download {spec.repo} "
                        f"{file.path} --revision {spec.revision}` and then this again, which will find it"
                    )
                hub.file_download.http_get(
                    url,
                    cast(BinaryIO, stream),
                    resume_size=held,
                    headers=headers,
                    expected_size=file.size,
                    tqdm_class=_SilentBar,
                )
        except hub.errors.HfHubHTTPError as error:
            if error.response.status_code == 416:  # the hub has less than is here: begin anew next time
                to.unlink(missing_ok=True)
            raise
        except OSError as error:
            if error.errno is not None:
                raise unwritable(to.parent, error) from error
            if isinstance(error, ConnectionError):  # the library's way to say that it is offline
                raise
            sent = to.stat().st_size
            raise MalformedFile(
                shown,
                f"the hub sent {sent} bytes and lists {file.size}",
                "run again, or name another revision",
            ) from error


class _Partial(io.BufferedWriter):
    """A file that bytes are appended to, up to a size that the sender may not exceed."""

    def __init__(self, path: Path, limit: int, shown: str, tell: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path, "a"))
        self._limit, self._shown, self._told = limit, shown, tell
        if self.tell() > limit:  # of another listing
            self.truncate(0)

    def write(self, data: Any) -> int:  # noqa: ANN401 - whatever holds bytes
        if self.tell() + len(data) > self._limit:
            self.truncate(0)
            raise MalformedFile(
                self._shown,
                f"the hub sends more than the {self._limit} bytes that it lists",
                "name another revision",
            )
        written = super().write(data)
        self.flush()  # so that what is told is there, and a full disk is noticed here
        self._told(self.tell())
        return written

    def truncate(self, size: int | None = None) -> int:
        left = super().truncate(size)
        self.seek(0, os.SEEK_END)
        self._told(left)
        return left


class _SilentBar:
    """What the library draws progress with; ours is told by the file that is written."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> "_SilentBar":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: float | None = 1) -> None:
        """Do nothing."""
