"""A folder in Hugging Face layout: which of its files are read, and the configuration in them.

Nothing named by a file leads out of the folder, no pickle is opened, no code of the folder is run.
Links are followed: the hub's cache is made of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qaudit.checkpoints.safetensors import SafetensorsFile, read_safetensors
from qaudit.errors import InputError, LimitExceeded, MalformedFile
from qaudit.files import read_bounded
from qaudit.strict_json import load_strict

MAX_CONFIG_BYTES = 4 << 20
MAX_TOKENIZER_BYTES = 256 << 20
MAX_TEMPLATE_BYTES = 4 << 20
MAX_SHARDS = 2000
MAX_FILE_NAME = 255  # bytes, of any file system that weights lie on
CONFIG = "config.json"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
QUANTIZATION_FILES = ("quantize_config.json", "quant_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tekken.json")
CARRIED = (
    CONFIG, INDEX, *QUANTIZATION_FILES, *TOKENIZER_FILES, "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "generation_config.json", "chat_template.jinja",
)  # fmt: skip
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True, slots=True)
class HfFolder:
    """What was read of a folder.

    Attributes:
        config: config.json.
        quantization: the quantization configuration, or None.
        quantization_path: the file that it stands in.
        tokenizer_config: tokenizer_config.json, empty without one.
        chat_template: chat_template.jinja, or the one in tokenizer_config.json.
        weights: the safetensors files, in order of their names.
        carried: the other files that decide what a runtime does, where they exist.
    """

    path: Path
    config: dict[str, Any]
    quantization: dict[str, Any] | None
    quantization_path: Path
    tokenizer_config: dict[str, Any]
    chat_template: str | None
    weights: tuple[SafetensorsFile, ...]
    carried: tuple[Path, ...]


def read_hf_folder(path: Path) -> HfFolder:
    """Read the small files of a folder and the headers of its weights.

    Raises:
        InputError: there is no config.json, or no safetensors (a pickle is never opened).
        MalformedFile, LimitExceeded: a file lies about itself.
    """
    if not (path / CONFIG).is_file():
        raise InputError(f"{path}: holds no {CONFIG}; give a GGUF file or a folder in Hugging Face layout")
    config = read_object(path / CONFIG)
    quantization, told_by = config.get("quantization_config"), path / CONFIG
    if quantization is None:
        told_by = next((path / n for n in QUANTIZATION_FILES if (path / n).is_file()), path / CONFIG)
        quantization = read_object(told_by) if told_by.name != CONFIG else None
    if quantization is not None and not isinstance(quantization, dict):
        raise MalformedFile(told_by, "quantization_config is not an object")
    tokenizer_config = _tokenizer_config(path)
    return HfFolder(
        path=path,
        config=config,
        quantization=quantization,
        quantization_path=told_by,
        tokenizer_config=tokenizer_config,
        chat_template=_chat_template(path, tokenizer_config),
        weights=tuple(read_safetensors(file) for file in _weight_files(path)),
        carried=tuple(path / name for name in CARRIED if (path / name).is_file()),
    )


def read_chat_template(path: Path) -> str | None:
    """Return the chat template of a folder, whose weights need not be there yet.

    Raises:
        InputError: a file cannot be read.
        MalformedFile, LimitExceeded: it lies about itself.
    """
    return _chat_template(path, _tokenizer_config(path))


def read_object(path: Path, limit: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """Read a JSON object of at most `limit` bytes.

    Raises:
        InputError: the file cannot be read, is too long or not one JSON object with one meaning.
    """
    try:
        value = load_strict(read_bounded(path, limit))
    except ValueError as error:
        raise MalformedFile(path, str(error)) from error
    if not isinstance(value, dict):
        raise MalformedFile(path, "not a JSON object")
    return value


def _tokenizer_config(path: Path) -> dict[str, Any]:
    file = path / "tokenizer_config.json"
    return read_object(file) if file.is_file() else {}


def _chat_template(path: Path, tokenizer_config: dict[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.is_file():
        return read_bounded(file, MAX_TEMPLATE_BYTES).decode("utf-8", errors="replace")
    given = tokenizer_config.get("chat_template")
    if isinstance(given, list):  # several, by name
        named = (t.get("template") for t in given if isinstance(t, dict) and t.get("name") == "default")
        given = next(named, None)
    return given if isinstance(given, str) else None


def _weight_files(path: Path) -> list[Path]:
    # as transformers chooses: one file by its usual name, else the index, else the only one there is
    if (path / SINGLE).is_file():
        return [path / SINGLE]
    if (path / INDEX).is_file():
        return _indexed(path)
    found = sorted(path.glob("*.safetensors"))
    if len(found) == 1:
        return found
    if found:
        raise InputError(f"{path}: {len(found)} safetensors files and no {INDEX}; download the index too")
    if any(next(path.glob(kind), None) for kind in _PICKLES):
        raise InputError(f"{path}: its weights are pickles, which are never opened; get it as safetensors")
    raise InputError(f"{path}: holds no safetensors; download its weights")


def indexed_names(index: Path) -> list[str]:
    """Return the names of the weight files that an index names, in order.

    Raises:
        InputError: it cannot be read.
        MalformedFile: it is no index, or names what is no safetensors file beside it.
        LimitExceeded: it names too many.
    """
    weight_map = read_object(index, MAX_TOKENIZER_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedFile(index, "has no weight_map")
    names = set(weight_map.values()) if all(isinstance(v, str) for v in weight_map.values()) else {""}
    for name in names:
        plain = name.endswith(".safetensors") and name == Path(name).name and "\\" not in name
        if not plain or not name.isprintable() or len(name.encode()) > MAX_FILE_NAME:
            raise MalformedFile(index, f"names {name[:80]!a}, which is no safetensors file beside it")
    if len(names) > MAX_SHARDS:
        raise LimitExceeded(index, f"{len(names)} shards, more than {MAX_SHARDS}")
    return sorted(names)


def _indexed(path: Path) -> list[Path]:
    names = indexed_names(path / INDEX)
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise InputError(f"{path}: lacks {missing[0]} and {len(missing) - 1} more; download it again")
    return [path / name for name in names]
