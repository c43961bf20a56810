"""The JSON files of a download, each read once, leniently and within bounds."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.errors import InputError
from qaudit.static.case import opened
from qaudit.static.configs.lenient_json import MOST_VALUES, Document, read_json
from qaudit.static.configs.quantization import FILES, claims_of
from qaudit.static.configs.quantization_rules import Claims
from qaudit.static.folder_view import Entry, FolderView

MAX_CONFIG = 4 << 20
MOST_NODES = 200_000
MOST_VALUES_OF_LARGE = 4_000_000  # a vocabulary with its merges has two million


Member = tuple[str, str, object]  # path in the document, key, value


@dataclass(frozen=True)
class ConfigFile:
    """One JSON file of a download."""

    path: str
    document: Document

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path[self.path.rfind("/") + 1 :]

    @functools.cached_property
    def members(self) -> list[Member]:
        """Every text in the document, and everything under the key trust_remote_code."""
        return [
            (path, key, value)
            for path, key, value in walk_values(self.document.value)
            if isinstance(value, str) or key == "trust_remote_code"
        ]

    @functools.cached_property
    def whole(self) -> bool:
        """Whether the walk comes to the end of the document."""
        # the root itself is counted there and not yielded
        return sum(1 for _ in walk_values(self.document.value)) < MOST_NODES - 1


def read_config(entry: Entry, limit: int = MAX_CONFIG) -> ConfigFile:
    """Read a JSON file.

    Raises:
        InputError: it cannot be read, or is longer than `limit`.
    """
    with opened(entry) as source:
        if source.size > limit:
            raise InputError(f"{entry.path}: {source.size} bytes, more than {limit} are not read")
        most = MOST_VALUES if limit <= MAX_CONFIG else MOST_VALUES_OF_LARGE
        return ConfigFile(entry.path, read_json(source.read_at(0, source.size), most))


def read_object(folder: FolderView, path: str) -> dict[str, object] | None:
    """Return a JSON object of a download; None where there is none at that path, or it cannot be read."""
    entry = folder.by_path.get(path)
    if entry is None:
        return None
    try:
        value = read_config(entry).document.value
    except InputError:
        return None
    return value if isinstance(value, dict) else None


def folder_claims(folder: FolderView, home: str) -> Claims | None:
    """Return what a folder says about its quantization; None where it has no config.json.

    Args:
        folder: the download.
        home: the folder's path, with a slash at its end, or empty.
    """
    config = read_object(folder, f"{home}config.json")
    others = {
        f"{home}{name}": value
        for name in FILES
        if (value := read_object(folder, f"{home}{name}")) is not None
    }
    if config is None and not others:
        return None
    place = f"{home}config.json"
    stated = claims_of(config or {}, place, others)
    given = (config or {}).get("quantization_config")
    broken = (f"{place}:quantization_config",) if given is not None and not isinstance(given, dict) else ()
    return Claims(place, tuple(stated), broken)


def walk_values(value: object) -> Iterator[Member]:
    """Return (path, key, value) of every member of every object in a document, without recursion.

    Members of lists have the list's key. At most `MOST_NODES` are looked at.
    """
    waiting: list[tuple[str, str, object]] = [("", "", value)]
    seen = 0
    while waiting and seen < MOST_NODES:
        path, key, node = waiting.pop()
        seen += 1
        if path:
            yield path, key, node
        if isinstance(node, dict):
            # reversed, so that what stands first in the file comes first
            waiting += [(_under(path, k), k, v) for k, v in reversed(node.items())]
        elif isinstance(node, list):
            short = path if len(path) < 400 else path[:400]
            waiting += [
                (f"{short}[{i}]", key, v)
                for i, v in zip(range(len(node) - 1, -1, -1), reversed(node), strict=True)
            ]


def _under(path: str, key: str) -> str:
    shown = ascii(key[:60])[1:-1]
    # a document of a hundred levels must not build paths of quadratic length
    return f"{path[:400]}.{shown}" if path else shown
