from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from release_kit import Release, make_release

if TYPE_CHECKING:
    from attest.keyless_desk import Desks


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A folder checkpoint, not yet signed."""
    return make_release(tmp_path)


@pytest.fixture
def signed(release: Release) -> Release:
    """A folder checkpoint, signed in the usual place."""
    release.sign()
    return release


@pytest.fixture
def signed_file(tmp_path: Path) -> Release:
    """A single-file checkpoint, signed beside it."""
    folder = tmp_path / "single"
    folder.mkdir()
    release = make_release(folder, single=True)
    release.sign()
    return release


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Desks]":
    """Desks with releases that loopback Sigstores sign."""
    from attest.keyless_desk import open_desks

    with open_desks(lambda: tmp_path_factory.mktemp("desk")) as desks:
        yield desks
