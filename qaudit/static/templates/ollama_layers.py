"""A Modelfile taken apart: the layers of a manifest of Ollama's registry, or files named as they are.

Of a hub's repository Ollama takes the files `template`, `system` and `params` that lie beside the weights.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qaudit.errors import InputError
from qaudit.findings import Surface
from qaudit.static.case import Case, opened
from qaudit.static.configs.lenient_json import read_json
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.hidden_characters import shown
from qaudit.static.model_parts import Examined, ModelParts, TemplateText
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.templates.modelfile_rules import BOOK as MODELFILE
from qaudit.static.templates.modelfile_rules import Instruction, Modelfile

BOOK: RuleBook["Manifest"] = RuleBook("modelfile", "layers of a model of Ollama's registry")
MOST_MANIFEST_BYTES, MOST_BLOB_BYTES = 1 << 20, 4 << 20
MOST_MANIFESTS, MOST_LAYERS, MOST_MESSAGES, MOST_TEMPLATES = 32, 64, 200, 64
_DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}")
_MEDIA = "application/vnd.ollama.image."
# files that stand for the layers of their names where there is no manifest
ALONE = {"template": "template", "system": "system", "params": "params", "params.json": "params"}
_SETTINGS = frozenset(
    {"stop", "temperature", "num_ctx", "top_p", "top_k", "repeat_penalty", "num_predict", "min_p", "system"}
)
_PROMPTS = ("system", "prompt")
_TEXTS = {"template": "TEMPLATE", "system": "SYSTEM", "license": "LICENSE"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest; `layers` are as it says, and the configuration is the last of them."""

    path: str
    layers: tuple[Mapping[str, object], ...]


@BOOK.rule(
    "digest", "high",
    title="a layer's digest is no digest",
    why="Loaders build the blob's path from it: one with .. in it writes or reads outside of the store.",
    remedy="do not load it",
    sources=("CVE-2024-37032",),
)  # fmt: skip
def digest(manifest: Manifest) -> Iterator[Hit]:
    """Anything but sha256 and 64 hexadecimal digits."""
    for number, layer in enumerate(manifest.layers):
        told = layer.get("digest")
        if not (isinstance(told, str) and _DIGEST.fullmatch(told)):
            yield Hit(f"{manifest.path}:layers[{number}]", shown(str(told), 200))


def inspect_layers(folder: FolderView, case: Case) -> Examined:
    """Look at the manifests of a download and at the small blobs that they name; then at lone files."""
    examined = _alone(folder)
    for entry in folder.entries:
        name = entry.path.rsplit("/", 1)[-1]
        if (name == "manifest.json" or "manifests/" in entry.path) and len(
            examined.surfaces
        ) < 2 * MOST_MANIFESTS:
            manifest = _manifest(entry)
            if manifest is not None:
                examined.findings += BOOK.findings(manifest)
                examined.surfaces.append(Surface(entry.path, "manifest", "examined"))
                _with(examined, _blobs(manifest, folder))
    return examined


def _manifest(entry: Entry) -> Manifest | None:
    raw = _read(entry, MOST_MANIFEST_BYTES)
    document = read_json(raw).value if raw is not None else None
    if not isinstance(document, dict) or not isinstance(document.get("layers"), list):
        return None
    layers = [*document["layers"][:MOST_LAYERS], *([document["config"]] if "config" in document else [])]
    known = tuple(layer for layer in layers if isinstance(layer, dict))
    ours = any(str(layer.get("mediaType", "")).startswith(_MEDIA) for layer in known)
    return Manifest(entry.path, known) if ours else None


def _blobs(manifest: Manifest, folder: FolderView) -> Examined:
    """Put the Modelfile together again that the blobs were made from, as far as they are here."""
    blobs: list[tuple[str, Entry, int]] = []
    for number, layer in enumerate(manifest.layers):
        kind = str(layer.get("mediaType", "")).removeprefix(_MEDIA)
        entry = _blob(folder, str(layer.get("digest", "")))
        if entry is not None and kind in (*_TEXTS, "params", "messages"):
            blobs.append((kind, entry, number))
    return _put_together(manifest.path, blobs)


def _alone(folder: FolderView) -> Examined:
    """Look at the files that Ollama takes by their names, each as a Modelfile of its own."""
    examined = Examined()
    for entry in folder.entries:
        kind = ALONE.get(entry.path.rpartition("/")[2])
        if kind is None or len(examined.surfaces) >= MOST_MANIFESTS:
            continue
        if kind != "params" or _of_ollamas(entry):
            _with(examined, _put_together(entry.path, [(kind, entry, 1)]))
    return examined


def _of_ollamas(entry: Entry) -> bool:
    """Return whether settings are of Ollama: other programs have files of these names, one of them often."""
    value = read_json(_read(entry, MOST_BLOB_BYTES) or b"").value
    if not isinstance(value, dict):
        return False
    known = len(_SETTINGS & value.keys())
    return known > 0 and (entry.path.rpartition("/")[2] == "params" or 2 * known > len(value))


def _put_together(path: str, blobs: Sequence[tuple[str, Entry, int]]) -> Examined:
    modelfile = Modelfile(path)
    templates: list[TemplateText] = []
    surfaces: list[Surface] = []
    for kind, entry, number in blobs:
        raw = _read(entry, MOST_BLOB_BYTES)
        if raw is None:
            continue
        text = raw.decode("utf-8", "replace")
        surfaces.append(Surface(entry.path, kind, "examined"))
        if kind == "template":
            templates.append(TemplateText(entry.path, "default", text, "go"))
        elif kind in _TEXTS:
            modelfile.instructions.append(Instruction(_TEXTS[kind], text, number))
        else:
            modelfile.instructions += _of_json(kind, raw, number)
    parts = ModelParts(path, "modelfile", templates=tuple(templates[:MOST_TEMPLATES])) if templates else None
    return Examined(MODELFILE.findings(modelfile), surfaces, parts)


def _with(examined: Examined, other: Examined) -> None:
    """Take in another look with its templates, of which each may be the one that is used."""
    ours, theirs = examined.parts, other.parts
    examined.add(other)
    if ours is not None and theirs is not None:
        examined.parts = replace(ours, templates=(ours.templates + theirs.templates)[:MOST_TEMPLATES])


def _of_json(kind: str, raw: bytes, number: int) -> Iterator[Instruction]:
    value = read_json(raw).value
    if kind == "params" and isinstance(value, dict):
        for key, given in list(value.items())[:MOST_MESSAGES]:
            for one in given[:MOST_MESSAGES] if isinstance(given, list) else [given]:
                told = one if isinstance(one, str) else json.dumps(one)
                if key in _PROMPTS:  # a parameter of none, but no less a prompt for that
                    yield Instruction("SYSTEM", told, number)
                yield Instruction("PARAMETER", told, number, str(key)[:100])
    elif kind == "messages" and isinstance(value, list):
        for message in value[:MOST_MESSAGES]:
            if isinstance(message, dict):
                role = str(message.get("role", ""))[:20]
                yield Instruction("MESSAGE", str(message.get("content", "")), number, role)


def _blob(folder: FolderView, named: str) -> Entry | None:
    if not _DIGEST.fullmatch(named):
        return None
    wanted = f"blobs/{named.replace(':', '-')}"
    return next((entry for entry in folder.entries if entry.path.endswith(wanted)), None)


def _read(entry: Entry, most: int) -> bytes | None:
    if entry.open is None or entry.size > most:
        return None
    try:
        with opened(entry) as source:
            return source.read_at(0, most)
    except InputError:
        return None  # whoever lists the files says so
