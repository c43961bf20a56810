"""What a case is: a hostile or an ordinary file or folder, and the rules that must or must not speak."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Builder = Callable[[Path], Path]
Content = bytes | str | Callable[[], bytes | str]


@dataclass(frozen=True, slots=True)
class Attack:
    """A hostile download.

    Attributes:
        name: unique in the whole table.
        family: the file of builders that it is from.
        builder: writes it into an empty folder and returns what is inspected.
        rules: ids that must all be among the findings.
        sources: where the shape is from: CVE ids, papers, items of the checklist.
        reference: writes the honest model that the candidate is laid beside.
        deep: the shape shows only in the weights' values.
    """

    name: str
    family: str
    builder: Builder
    rules: frozenset[str]
    sources: tuple[str, ...] = ()
    reference: Builder | None = None
    deep: bool = False


@dataclass(frozen=True, slots=True)
class Benign:
    """An ordinary download, about which nothing above `info` may be said."""

    name: str
    builder: Builder
    reference: Builder | None = None
    deep: bool = False


def of(*rules: str) -> frozenset[str]:
    """Return the ids as a set."""
    return frozenset(rules)


def one_file(name: str, content: Content) -> Builder:
    """Return a builder of a single file, which is itself what is inspected."""

    def build(folder: Path) -> Path:
        return written(folder / name, content)

    return build


def whole_folder(
    files: Mapping[str, Content] | Callable[[], Mapping[str, Content]],
    *,
    name: str = "model",
    links: Mapping[str, str] | None = None,
) -> Builder:
    """Return a builder of a folder, with symbolic links where `links` gives their targets."""

    def build(folder: Path) -> Path:
        root = folder / name
        root.mkdir(parents=True, exist_ok=True)
        for path, content in (files() if callable(files) else files).items():
            written(root / path, content)
        for path, target in (links or {}).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
        return root

    return build


def written(path: Path, content: Content) -> Path:
    """Write a file and the folders above it."""
    made = content() if callable(content) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.encode() if isinstance(made, str) else made)
    return path
