"""`qaudit.verified_checkpoint`: a release from anywhere, verified and held while it is loaded."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from qaudit.attest.verified_checkpoint import VerifiedCheckpoint
from qaudit.attest.verified_checkpoint import verified_checkpoint as hold
from qaudit.attest.verifying import Verified
from qaudit.checkpoints.hub_spec import Progress
from qaudit.errors import InputError
from qaudit.releases.opening import open_release


class VerifiedRelease(AbstractContextManager[Path]):
    """What `verified_checkpoint` returns; `verified` says what was verified, once the block began.

    Attributes:
        shown: what it is called: a hub's release by its commit, an artifact by its digest; until the
            block begins, as it was given.
    """

    def __init__(
        self,
        given: str | Path,
        folder: Path | str | None,
        options: dict[str, Any],
        *,
        max_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._given, self._folder, self._options = given, folder, options
        self._max_bytes, self._progress = max_bytes, progress
        self.shown = str(given)
        # for its complaint about unknown options, before anything is fetched
        hold(Path(), folder=folder, **options)
        self._held: VerifiedCheckpoint | None = None
        self._stack = ExitStack()

    @property
    def verified(self) -> Verified:
        """What the gate found; its paths are in the private copy.

        Raises:
            InputError: the `with` block has not begun.
        """
        if self._held is None:
            raise InputError(f"{self._given}: is verified when the with block begins; look inside it")
        return self._held.verified

    def __enter__(self) -> Path:
        opened = open_release(self._given, max_bytes=self._max_bytes, progress=self._progress)
        with ExitStack() as stack, opened as release:
            self.shown = release.shown
            # what was fetched is copied, so its own folder is needed no longer
            self._held = hold(release.path, folder=self._folder, **self._options)
            path = stack.enter_context(self._held)
            self._stack = stack.pop_all()
        return path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def verified_checkpoint(
    given: str | Path,
    *,
    folder: Path | str | None = None,
    **options: Any,  # noqa: ANN401 - those of verify, which checks them
) -> VerifiedRelease:
    """Give a private copy of a release that passed the gate, for as long as a `with` block runs.

        with qaudit.verified_checkpoint("hf://org/repo/model.gguf", key="release.pub.pem") as path:
            llama = Llama(str(path))

    What was checked is what is loaded, whatever happens to the original; see
    `qaudit.attest.verified_checkpoint`, which does the same for paths alone.

    Args:
        given: a path, `hf://org/repo[@revision][/file]`, or `oci:LAYOUT[:TAG|@sha256:DIGEST]`.
        folder: where the copy is made; by default the system's folder for temporary files.
        options: those of `qaudit.attest.verify`, such as `key` or `identity`; but an audit is required
            unless `require_audit=False` says otherwise.

    Raises:
        TypeError: there is no such option.
        VerificationFailed: the release does not pass, when the block is entered.
        QauditError: it cannot be fetched, read or copied.
    """
    return VerifiedRelease(given, folder, options)
