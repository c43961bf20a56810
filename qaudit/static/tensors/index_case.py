"""One index of a sharded checkpoint as it was read, with what lies beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qaudit.static.configs.lenient_json import Document
from qaudit.static.folder_view import Entry
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.tensors.weight_files import SUFFIX, WeightFolder

_LEADS_ELSEWHERE = LazyPattern(r"[/\\\x00-\x1f\x7f:]")
_NUMBERED = LazyPattern(r"-(\d{4,6})-of-(\d{4,6})\.")


@dataclass(slots=True)
class IndexCase:
    """One index and what lies beside it.

    Attributes:
        weight_map: tensor -> file as written; only pairs of strings.
        foreign: pairs that are none, in short.
        folder: the safetensors beside it; None where the index is of pickles.
        beside: base names of all files in its folder.
        single: the download is one file that was named, and nothing beside it is expected.
    """

    entry: Entry
    document: Document
    weight_map: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    total_size: object = None
    folder: WeightFolder | None = None
    beside: Mapping[str, Entry] = field(default_factory=dict)
    single: bool = False

    @property
    def place(self) -> str:
        """The index's path."""
        return self.entry.path

    @property
    def shards(self) -> list[str]:
        """The files that it names, in order."""
        return sorted(set(self.weight_map.values()))


def is_plain(name: str) -> bool:
    """Return whether a name is that of a file beside the index and leads nowhere else."""
    return bool(name) and name not in (".", "..") and not _LEADS_ELSEWHERE.search(name)


def is_shard_name(name: str) -> bool:
    """Return whether a name is one of numbered shards."""
    return bool(_NUMBERED.search(name)) and name.endswith(SUFFIX)


def numbered(name: str) -> tuple[str, int] | None:
    """Return what stands before a shard's numbers, and how many shards its name promises."""
    match = _NUMBERED.search(name)
    return (name[: match.start()], int(match[2])) if match else None
