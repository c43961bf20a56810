"""Which inspector looks at what: one for each kind of file, and those that look at a folder as a whole.

Each is imported when there is something for it, so that a look at one GGUF does not pay for pickles.
"""

from collections.abc import Callable, Mapping, Sequence

from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.folder_view import FileKind, FolderView
from qaudit.static.model_parts import Examined

OfFile = Callable[[ByteSource, Case], Examined]
OfFolder = Callable[[FolderView, Case], Examined]


def _gguf(source: ByteSource, case: Case) -> Examined:
    from qaudit.static.gguf.inspector import inspect_gguf

    return inspect_gguf(source, case)


def _safetensors(source: ByteSource, case: Case) -> Examined:
    from qaudit.static.tensors.inspector import inspect_safetensors

    return inspect_safetensors(source, case)


def _pickle(source: ByteSource, case: Case) -> Examined:
    from qaudit.static.pickles.inspector import inspect_pickle

    return inspect_pickle(source, case)


def _archive(source: ByteSource, case: Case) -> Examined:
    from qaudit.static.archives.inspector import inspect_archive

    return inspect_archive(source, case)


def _modelfile(source: ByteSource, case: Case) -> Examined:
    from qaudit.static.templates.modelfile import inspect_modelfile

    return inspect_modelfile(source, case)


def _split_sets(folder: FolderView, case: Case) -> Examined:
    from qaudit.static.gguf.split_sets import inspect_split_sets

    return inspect_split_sets(folder, case)


def _ollama_layers(folder: FolderView, case: Case) -> Examined:
    if not any(
        entry.path.endswith(("manifest.json", "template", "system", "params", "params.json"))
        or "manifests/" in entry.path
        for entry in folder.entries
    ):
        return Examined()
    from qaudit.static.templates.ollama_layers import inspect_layers

    return inspect_layers(folder, case)


def _tokenizer_files(folder: FolderView, case: Case) -> Examined:
    from qaudit.static.vocabulary.inspector import inspect_tokenizer_files

    return inspect_tokenizer_files(folder, case)


def _generation_config(folder: FolderView, case: Case) -> Examined:
    from qaudit.static.metadata.generation import inspect_generation_config

    return inspect_generation_config(folder, case)


def _repository(folder: FolderView, case: Case) -> Examined:
    from qaudit.static.repository.inspector import inspect_repository

    return inspect_repository(folder, case)


def _index(folder: FolderView, case: Case) -> Examined:
    from qaudit.static.tensors.index import inspect_index

    return inspect_index(folder, case)


def _layouts(folder: FolderView, case: Case) -> Examined:
    from qaudit.static.tensors.layouts import inspect_layouts

    return inspect_layouts(folder, case)


def _configs(folder: FolderView, case: Case) -> Examined:
    from qaudit.static.configs.inspector import inspect_configs

    return inspect_configs(folder, case)


OF_FILE: Mapping[FileKind, OfFile] = {
    "gguf": _gguf,
    # the forerunners of GGUF: told apart by its inspector
    "ggml": _gguf,
    "safetensors": _safetensors,
    "pickle": _pickle,
    "zip": _archive,
    "archive": _archive,
    "modelfile": _modelfile,
}
# what of a download each needs to have something to look at; then whether it gives parts of a model
OF_FOLDER: Sequence[tuple[frozenset[FileKind], bool, OfFolder]] = (
    (frozenset(), False, _repository),
    (frozenset({"gguf"}), False, _split_sets),
    (frozenset({"config", "text", "other"}), True, _ollama_layers),
    (frozenset({"config", "tokenizer"}), True, _tokenizer_files),
    (frozenset({"config"}), False, _generation_config),
    (frozenset({"config", "safetensors"}), False, _index),
    (frozenset({"config", "safetensors"}), False, _layouts),
    # tokenizer_config.json names code by auto_map as config.json does
    (frozenset({"config", "tokenizer"}), True, _configs),
)


def of_folder(folder: FolderView, *, gives_parts: bool) -> list[OfFolder]:
    """Return the inspectors of the whole that have something to look at.

    Args:
        folder: the download.
        gives_parts: those that give parts of a model, or the others.
    """
    there = {entry.kind for entry in folder.entries}
    return [
        inspector
        for kinds, gives, inspector in OF_FOLDER
        if gives == gives_parts and (not kinds or kinds & there)
    ]
