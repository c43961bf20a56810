from qaudit.static.folder_view import FolderView
from qaudit.static.repository.download import Download


def test_begins_empty_and_apart() -> None:
    first, second = (Download(FolderView("x", ())) for _ in range(2))
    first.contents["a"] = "zip"
    assert not second.contents
