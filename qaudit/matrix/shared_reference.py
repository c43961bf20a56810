"""Which rows ask the same reference the same: one of them goes first, the others use its answers.

The answers lie in the matrix's folder (`qaudit.auditing.reference_arm` writes and reads them, by a key
over everything that they depend on). Here is only the order: the first row of a group starts alone
and leaves a file when its reference has been asked; then the rest of the group may start. A first
row that fails before that is followed by the next one of its group.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from qaudit.files import sha256_bytes
from qaudit.matrix.tasks import RowTask


@dataclass(slots=True)
class _Group:
    asked: Path
    waiting: list[RowTask] = field(default_factory=list)
    leader: str | None = None


class ReferenceOrder:
    """Says which rows may start now.

    Args:
        tasks: all rows, in the order of the manifest.
        folder: where the files that say "asked" are left; it is there and its files are of this run.
    """

    def __init__(self, tasks: Iterable[RowTask], folder: Path) -> None:
        self._groups: dict[str, _Group] = {}
        for task in tasks:
            name = _group_name(task)
            group = self._groups.setdefault(name, _Group(folder / f"{task.run}.{name}"))
            group.waiting.append(replace(task, asked=group.asked))

    def startable(self, most: int) -> list[RowTask]:
        """Return at most so many rows that may start and have not been returned before.

        First rows of groups come before the others, for these wait for them.
        """
        start: list[RowTask] = []
        for group in self._groups.values():
            if len(start) < most and group.waiting and group.leader is None and not group.asked.is_file():
                leader = group.waiting.pop(0)
                group.leader = leader.name
                start.append(leader)
        for group in self._groups.values():
            if group.waiting and group.asked.is_file():
                room = most - len(start)
                start += group.waiting[:room]
                del group.waiting[:room]
        return start

    def ended(self, name: str, *, reused: bool) -> None:
        """Note that a row has ended, well or not.

        A first row that failed before its reference was asked makes room for the next one. One whose
        report was there already lets all go: the reference was asked in an earlier run.
        """
        for group in self._groups.values():
            if group.leader == name:
                group.leader = None
                if reused:
                    group.asked.touch()


def _group_name(task: RowTask) -> str:
    # rows whose reference is asked another way have another key; addresses stand for digests here, as
    # rows with one reference under two addresses would only wait for nothing
    options = task.options
    parts = [
        task.reference,
        str(options.chat_template),
        options.suites,
        options.limit,
        options.max_tokens,
        options.batch,
        asdict(options.engine),
    ]
    return sha256_bytes(json.dumps(parts, sort_keys=True).encode())[:32]
