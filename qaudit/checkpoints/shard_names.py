"""The names of split sets: `<stem>-00001-of-0000N.gguf`, which llama.cpp loads as one model.

It stands apart from what reads such sets, so that whoever only lists files need not import that.
"""

import re

MAX_SHARDS = 1000
SHARD_NAME = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)


def shard_name(stem: str, number: int, count: int) -> str:
    """Return the name of one shard; the first has the number 1."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf"


def names_of_set(stem: str, count: int) -> list[str]:
    """Return the names of all shards, in order."""
    return [shard_name(stem, number, count) for number in range(1, count + 1)]


def set_of_name(name: str) -> list[str]:
    """Return the names of the whole set that a file's name belongs to: just itself where it is of none.

    A name that claims an impossible set, or one of more than `MAX_SHARDS`, is of none.
    """
    match = SHARD_NAME.fullmatch(name)
    if not match or not 1 <= int(match["number"]) <= int(match["count"]) <= MAX_SHARDS:
        return [name]
    return names_of_set(match["stem"], int(match["count"]))
