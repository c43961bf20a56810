"""Parts of a hub's files, by HTTP ranges: of a 40 GB file a header costs a few megabytes.

What was fetched stays in a small store for all files of a repository; what is read on in order is
fetched in growing pieces. A piece that is a whole file is held to the digest that the hub lists; of any
other only the signature or an audit of the whole file says whose bytes they are.
"""

import hashlib
import re
import threading
from collections import OrderedDict

from qaudit.checkpoints.hub_client import OURSELVES, HubPlace
from qaudit.checkpoints.hub_library import explained, library, quiet
from qaudit.checkpoints.hub_listing import HubFile
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.errors import InputError, LimitExceeded, MalformedFile

PIECE = 1 << 16  # bytes of the first request for a file; a file of no more comes whole
LARGEST_PIECE = 8 << 20
STORED = 32 << 20  # bytes of all files that are kept
MOST_OF_A_FILE = 512 << 20  # bytes that may be fetched of one file
ANSWER_S = 30.0  # longest silence
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class HubRanges:
    """Fetches parts of the files of one commit; safe to use from several threads.

    Args:
        place: the hub.
        spec: the repository at a commit.
    """

    def __init__(self, place: HubPlace, spec: HubSpec) -> None:
        self._place, self._spec = place, spec
        self._pieces: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._stored = 0
        self._next: dict[str, tuple[int, int]] = {}  # path -> where the last piece ended, and its length
        self._fetched: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def fetched(self) -> int:
        """Bytes that came over the network so far."""
        return sum(self._fetched.values())

    def read(self, file: HubFile, offset: int, length: int) -> bytes:
        """Return the bytes of a file from an offset, fewer only at its end.

        Raises:
            HubUnreachable: the hub cannot be asked.
            InputError: it does not give them, or gives no parts of files.
            MalformedFile: it sends what it does not list.
            LimitExceeded: so much of one file was fetched that somebody must be playing with us.
        """
        end = min(file.size, offset + length)
        found = bytearray()
        while offset < end:
            start, piece = self._piece(file, offset, end)
            found += piece[offset - start : end - start]
            offset = min(end, start + len(piece))
        return bytes(found)

    def _piece(self, file: HubFile, offset: int, end: int) -> tuple[int, bytes]:
        """Return a piece that holds the byte at an offset, and where the piece starts."""
        with self._lock:
            for (path, start), piece in reversed(self._pieces.items()):
                if path == file.path and start <= offset < start + len(piece):
                    self._pieces.move_to_end((path, start))
                    return start, piece
            after, last = self._next.get(file.path, (0, 0))
        wanted = max(PIECE, min(end - offset, LARGEST_PIECE))
        if offset == after and last:
            wanted = max(wanted, min(2 * last, LARGEST_PIECE))
        piece = self._fetch(file, offset, min(wanted, file.size - offset))
        if len(piece) == file.size:
            _require_listed(str(HubSpec(self._spec.repo, self._spec.revision, file.path)), file, piece)
        with self._lock:
            self._next[file.path] = offset + len(piece), len(piece)
            if (file.path, offset) not in self._pieces:
                self._stored += len(piece)
            self._pieces[file.path, offset] = piece
            while self._stored > STORED and len(self._pieces) > 1:
                self._stored -= len(self._pieces.popitem(last=False)[1])
        return offset, piece

    def _fetch(self, file: HubFile, offset: int, length: int) -> bytes:
        hub, shown = library(), str(HubSpec(self._spec.repo, self._spec.revision, file.path))
        with self._lock:
            self._fetched[file.path] = sum_ = self._fetched.get(file.path, 0) + length
        if sum_ > MOST_OF_A_FILE:
            raise LimitExceeded(
                shown,
                f"more than {MOST_OF_A_FILE} bytes of it would be fetched",
                "download it, then look again",
            )
        with quiet(), explained(self._place.name, shown):
            url = hub.hf_hub_url(
                self._spec.repo, file.path, revision=self._spec.revision, endpoint=self._place.endpoint
            )
            headers = hub.utils.build_hf_headers(**OURSELVES) | {
                "Accept-Encoding": "identity",
                "Range": f"bytes={offset}-{offset + length - 1}",
            }
            # as the library itself calls it: a retry after half an answer would be thrown into our block
            with hub.utils.http_stream_backoff(
                "GET",
                url,
                headers=headers,
                timeout=ANSWER_S,
                retry_on_exceptions=(),
                retry_on_status_codes=(408, 429),
            ) as response:
                hub.utils.hf_raise_for_status(response)
                whole = response.status_code == 200
                if whole and (offset or length != file.size):
                    raise InputError(
                        f"{shown}: {self._place.name} sends no parts of files; download it, then look again"
                    )
                if not whole:
                    self._require_range(
                        shown, response.headers.get("Content-Range", ""), file, offset, length
                    )
                data = bytearray()
                for chunk in response.iter_raw():
                    data += chunk
                    if len(data) > length:
                        break
        if len(data) != length:
            raise MalformedFile(
                shown, f"{self._place.name} sent {len(data)} bytes where {length} were asked for", "try again"
            )
        return bytes(data)

    def _require_range(self, shown: str, told: str, file: HubFile, offset: int, length: int) -> None:
        match = _RANGE.fullmatch(told)
        if not match or tuple(map(int, match.groups())) != (offset, offset + length - 1, file.size):
            raise MalformedFile(
                shown,
                f"{self._place.name} answers with the range {told[:80]!a} of a file of {file.size} bytes",
                "try again, or check HF_ENDPOINT",
            )


def _require_listed(shown: str, file: HubFile, data: bytes) -> None:
    """Hold a whole file to its listed digest."""
    if file.sha256:
        found = hashlib.sha256(data).hexdigest()
    else:
        found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if found != file.digest:
        raise MalformedFile(shown, "the hub sends other bytes than those that it lists", "try again")
