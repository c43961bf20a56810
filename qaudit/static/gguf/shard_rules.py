"""Rules on one file that its metadata makes a shard of several."""

from collections.abc import Iterator

from qaudit.checkpoints.shard_names import SHARD_NAME
from qaudit.static.gguf.book import BOOK, GgufSubject
from qaudit.static.rules import Hit

NUMBER, COUNT = "split.no", "split.count"
LOADER = "https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model-loader.cpp"


@BOOK.rule(
    "undeclared-split",
    "medium",
    title="a shard that is named like a whole model",
    why="By its metadata the file is one part of several; llama.cpp finds the others by their names only.",
    remedy="restore the shards' names",
    sources=(LOADER,),
)
def _undeclared(subject: GgufSubject) -> Iterator[Hit]:
    walk = subject.walk
    count = walk.number(COUNT)
    if count is not None and count > 1 and not SHARD_NAME.fullmatch(walk.name):
        evidence = f"shard {walk.number(NUMBER)} of {count}, named like a model of one file"
        yield Hit(f"{walk.name}:{COUNT}", evidence)
