"""Where chat templates lie in a folder: files of their own, and keys of several JSON files."""

from collections.abc import Iterator

from qaudit.errors import InputError
from qaudit.static.case import opened
from qaudit.static.configs.lenient_json import read_json
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.model_parts import TemplateText

# longer ones are told by the rule on length; no more of them is read
MOST_TEMPLATE_BYTES = (1 << 20) + 64
MOST_JSON_BYTES = 16 << 20
MOST_TEMPLATES = 64
JSON_FILES = (
    "tokenizer_config.json", "chat_template.json", "processor_config.json", "preprocessor_config.json",
    "video_preprocessor_config.json", "config.json", "generation_config.json",
)  # fmt: skip
KEYS = ("chat_template", "chat_templates", "default_chat_template")
FOLDER = "additional_chat_templates"


def folder_templates(folder: FolderView) -> list[TemplateText]:
    """Return the templates of a download in Hugging Face layout; those that engines prefer come first."""
    found: list[TemplateText] = []
    for entry in sorted(folder.entries, key=_order):
        if entry.open is None or len(found) >= MOST_TEMPLATES:
            continue
        name = entry.path.rsplit("/", 1)[-1]
        if _is_template(entry):
            text = _text(entry, MOST_TEMPLATE_BYTES)
            if text is not None:
                found.append(TemplateText(entry.path, _name(entry.path), text))
        elif name in JSON_FILES:
            found += _of_json(entry)
    return found[:MOST_TEMPLATES]


def _order(entry: Entry) -> tuple[int, str]:
    name = entry.path.rsplit("/", 1)[-1]
    return (JSON_FILES.index(name) + 1 if name in JSON_FILES else 0, entry.path)


def _is_template(entry: Entry) -> bool:
    lowered = entry.path.casefold()
    return lowered.endswith((".jinja", ".jinja2", ".j2")) or (
        f"{FOLDER}/" in lowered and entry.kind in ("template", "text")
    )


def _name(path: str) -> str:
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return "default" if stem in ("chat_template", "template", "default") else stem


def _of_json(entry: Entry) -> Iterator[TemplateText]:
    text = _bytes(entry, MOST_JSON_BYTES)
    document = read_json(text).value if text is not None else None
    if not isinstance(document, dict):
        return
    for key in KEYS:
        value = document.get(key)
        place = f"{entry.path}:{key}"
        if isinstance(value, str):
            yield TemplateText(place, "default", value)
        elif isinstance(value, dict):
            for name, inner in list(value.items())[:MOST_TEMPLATES]:
                if isinstance(inner, str):
                    yield TemplateText(f"{place}.{name}"[:300], str(name)[:100], inner)
        elif isinstance(value, list):
            for item in value[:MOST_TEMPLATES]:
                if isinstance(item, dict) and isinstance(item.get("template"), str):
                    name = str(item.get("name", "default"))[:100]
                    yield TemplateText(f"{place}[{name}]", name, item["template"])


def _text(entry: Entry, most: int) -> str | None:
    raw = _bytes(entry, most)
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


def _bytes(entry: Entry, most: int) -> bytes | None:
    try:
        with opened(entry) as source:
            return source.read_at(0, min(source.size, most))
    except InputError:
        return None  # whoever lists the files says so
