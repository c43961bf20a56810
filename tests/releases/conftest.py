from pathlib import Path

import pytest
from release_kit import Release, make_release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A folder checkpoint, not yet signed."""
    folder = tmp_path / "release"
    folder.mkdir()
    return make_release(folder)


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
