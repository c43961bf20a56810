"""Rules over which of a download's weights would be loaded, where several lie side by side."""

from collections.abc import Iterator

from qaudit.static.folder_view import FolderView
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.weight_files import base_name, folder_of

BOOK: RuleBook[FolderView] = RuleBook("weights", "which weights of a download are loaded")
LOADING = "https://huggingface.co/docs/transformers (from_pretrained, use_safetensors, variant)"
_PICKLE = LazyPattern(
    r"(?:pytorch_model|model|diffusion_pytorch_model|adapter_model|consolidated)[\w.-]*\.(?:bin|pt|pth|ckpt)$"
)
_OTHER = LazyPattern(r"(?:tf_model\.h5|flax_model\.msgpack|model\.ckpt\.index|rust_model\.ot)$")
_VARIANT = LazyPattern(
    r"(?:model|adapter_model|diffusion_pytorch_model)\.(?!safetensors)([\w-]+?)(?:-\d+-of-\d+)?\.safetensors$"
)
_MAIN = LazyPattern(r"(?:model|adapter_model|diffusion_pytorch_model)(?:-\d+-of-\d+)?\.safetensors$")
_SHARD = LazyPattern(r"(.+?)-(\d{4,6})-of-(\d{4,6})\.safetensors$")


@BOOK.rule(
    "pickle-beside-safetensors", "low",
    title="the same weights as a pickle and as safetensors",
    why="Which one is loaded depends on the program and its settings, and the two need not be equal.",
    remedy="load with use_safetensors=True, or remove the pickles", sources=(LOADING, "CWE-502"),
)  # fmt: skip
def pickle_beside(folder: FolderView) -> Iterator[Hit]:
    """Find folders that have both."""
    safe = {folder_of(entry.path) for entry in folder.of_kind("safetensors")}
    for home, names in _by_folder(folder).items():
        pickles = [name for name in names if _PICKLE.match(name)]
        if pickles and home in safe:
            yield Hit(home + pickles[0], f"{len(pickles)} pickled weight files beside safetensors")


@BOOK.rule(
    "other-framework", "info",
    title="the same weights for another framework",
    why="TensorFlow and Flax load these, and nothing says that they are the same weights.",
    remedy="none needed where only safetensors are loaded", sources=(LOADING,),
)  # fmt: skip
def other_framework(folder: FolderView) -> Iterator[Hit]:
    """Find weights of TensorFlow, Flax and Rust."""
    for home, names in _by_folder(folder).items():
        for name in names:
            if _OTHER.match(name) and any(n.endswith(".safetensors") for n in names):
                yield Hit(home + name, "beside safetensors")


@BOOK.rule(
    "consolidated", "info",
    title="a consolidated copy of the weights",
    why="Runtimes of Mistral and Meta, and vLLM in some modes, load consolidated.* in place of the shards.",
    remedy="audit both, or remove the one that is not used", sources=(LOADING,),
)  # fmt: skip
def consolidated(folder: FolderView) -> Iterator[Hit]:
    """Find consolidated.* beside weights in Hugging Face layout."""
    for home, names in _by_folder(folder).items():
        found = [
            name
            for name in names
            if name.startswith("consolidated") and name.endswith((".safetensors", ".pth"))
        ]
        if found and any(_MAIN.match(name) for name in names):
            yield Hit(home + found[0], "beside weights in Hugging Face layout")


@BOOK.rule(
    "variant", "info",
    title="a variant of the weights under its own name",
    why="It is loaded only when its variant is asked for, and may be another model.",
    remedy="audit the one that is used", sources=(LOADING,),
)  # fmt: skip
def variant(folder: FolderView) -> Iterator[Hit]:
    """Find model.VARIANT.safetensors beside model.safetensors."""
    for home, names in _by_folder(folder).items():
        if any(_MAIN.match(name) for name in names):
            found = {match[1]: name for name in names if (match := _VARIANT.match(name))}
            for name in found.values():
                yield Hit(home + name, "beside the weights that are loaded by default")


@BOOK.rule(
    "two-sets", "medium",
    title="shards of two sets in one folder",
    why="Loaders that open every file of a folder mix the two; the last one read wins.",
    remedy="keep the set that the index names", sources=(LOADING,),
)  # fmt: skip
def two_sets(folder: FolderView) -> Iterator[Hit]:
    """Find shards of one name that count to different totals."""
    for home, names in _by_folder(folder).items():
        totals: dict[str, set[str]] = {}
        for name in names:
            match = _SHARD.match(name)
            if match:
                totals.setdefault(match[1], set()).add(match[3])
        for stem, counts in totals.items():
            if len(counts) > 1:
                yield Hit(home + stem, f"shards of {' and of '.join(sorted(counts)[:4])}")


@BOOK.rule(
    "no-index", "medium",
    title="shards without an index",
    why="Without an index a loader opens what it finds: nothing says which shards belong to the model.",
    remedy="download the index too", sources=(LOADING,),
)  # fmt: skip
def no_index(folder: FolderView) -> Iterator[Hit]:
    """Find numbered shards whose folder has no index."""
    for home, names in _by_folder(folder).items():
        known = set(names)
        for stem in sorted({match[1] for name in names if (match := _SHARD.match(name))}):
            if f"{stem}.safetensors.index.json" not in known and not stem.startswith("consolidated"):
                yield Hit(home + stem, "has numbered shards and no index")


@BOOK.rule(
    "gguf-beside", "info",
    title="GGUF files beside safetensors",
    why="They are models of their own: an audit of one says nothing about the other.",
    remedy="audit the one that is used", sources=(LOADING,),
)  # fmt: skip
def gguf_beside(folder: FolderView) -> Iterator[Hit]:
    """Find both formats in one folder."""
    safe = {folder_of(entry.path) for entry in folder.of_kind("safetensors")}
    for entry in folder.of_kind("gguf"):
        if folder_of(entry.path) in safe:
            yield Hit(entry.path, "beside safetensors")


@BOOK.rule(
    "second-model", "info",
    title="a second set of weights in a folder below",
    why="Programs that are given a subfolder load it in place of the main one.",
    remedy="audit the one that is used", sources=(LOADING,),
)  # fmt: skip
def second_model(folder: FolderView) -> Iterator[Hit]:
    """Find folders below one with weights that have weights of the same name."""
    homes = _by_folder(folder)
    top = {name for name in homes.get("", ()) if _MAIN.match(name)}
    for home, names in homes.items():
        same = top.intersection(names) if home else set()
        if same:
            yield Hit(home + min(same), "has the same name as the weights at the top")


def _by_folder(folder: FolderView) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in folder.entries:
        found.setdefault(folder_of(entry.path), []).append(base_name(entry.path))
    return found
