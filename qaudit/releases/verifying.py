"""The consumer's gate for a release anywhere, told in places that stay."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qaudit.attest.verifying import Verified, verify
from qaudit.checkpoints.hub_spec import Progress
from qaudit.errors import OutputProblem
from qaudit.files import make_folder, shared_mode
from qaudit.releases.opening import open_release

if TYPE_CHECKING:
    from qaudit.releases.loading import VerifiedRelease


@dataclass(frozen=True, slots=True)
class VerifiedPlace:
    """What was verified, and what it is called.

    Attributes:
        shown: the path; for a release on a hub its reference by commit, in a layout that by digest.
        verified: what the gate found. Its `path` was there while the gate ran; bundle, report, policy
            and recipe are where they still are, such as in the hub's cache.
    """

    shown: str
    verified: Verified


def verify_release(
    given: str | Path,
    *,
    out: Path | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
    **options: Any,  # noqa: ANN401 - those of verify
) -> VerifiedPlace:
    """Verify a release; returning at all means that it passed.

    Args:
        given: a path, `hf://org/repo[@revision][/file]`, or `oci:LAYOUT[:TAG|@sha256:DIGEST]`.
        out: a new folder to copy what passes into: the very bytes that were verified, and no folder
            where they do not pass.
        max_bytes: the most that may be fetched from a hub; None for no limit.
        progress: called with the bytes of it that are there and the bytes needed.
        options: those of `qaudit.attest.verify`, such as `key` or `identity`.

    Raises:
        VerificationFailed: the release does not pass.
        OutputProblem: `out` is there already, or cannot be written.
        QauditError: it cannot be fetched or read, or something given is unusable.
    """
    if out is not None:
        from qaudit.releases.loading import VerifiedRelease

        # here, as in verify, an audit is asked for by name
        options.setdefault("require_audit", False)
        return _copied(
            VerifiedRelease(given, out.parent, options, max_bytes=max_bytes, progress=progress), out
        )
    with open_release(given, max_bytes=max_bytes, progress=progress) as release:
        return VerifiedPlace(release.shown, _at(verify(release.path, **options), release.lasting))


def _copied(release: "VerifiedRelease", out: Path) -> VerifiedPlace:
    if os.path.lexists(out) and (out.is_symlink() or not out.is_dir() or any(out.iterdir())):
        raise OutputProblem(f"{out}: is there already; name a new folder")
    with _folders(out.parent), release as held:
        top = held if held.is_dir() else held.parent
        shared = shared_mode(0o777)
        try:
            for path in (*top.rglob("*"), top):
                path.chmod(shared if path.is_dir() else shared & 0o444)
            # complete under its name at once, or not there
            top.replace(out)
        except OSError as error:
            raise OutputProblem(f"{out}: cannot write ({error.strerror}); choose another place") from error
        found = release.verified

        def moved(path: Path) -> Path:
            return out / path.relative_to(top) if path.is_relative_to(top) else path

        return VerifiedPlace(release.shown, replace(_at(found, moved), path=moved(found.path)))


@contextlib.contextmanager
def _folders(folder: Path) -> Iterator[None]:
    """Make a folder with those above it, and take away again what was made if the block fails."""
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    make_folder(folder)
    try:
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):  # somebody else uses it by now
                path.rmdir()
        raise


def _at(verified: Verified, lasting: Callable[[Path], Path]) -> Verified:
    """Return the same with the places where its files stay."""

    def place(path: Path | None) -> Path | None:
        return None if path is None else lasting(path)

    return replace(
        verified,
        bundle=lasting(verified.bundle),
        report=place(verified.report),
        policy=place(verified.policy),
        recipe=place(verified.recipe),
    )
