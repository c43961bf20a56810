"""Configuration of a download: what its keys load, and whether it fits the weights and itself."""

from collections.abc import Iterator, Mapping

from qaudit.errors import InputError
from qaudit.findings import Surface
from qaudit.static.case import Case, opened
from qaudit.static.configs import (
    code_rules,
    library_rules,
    prompt_rules,
    quantization_rules,
    size_rules,
    yaml_rules,
)
from qaudit.static.configs.documents import MAX_CONFIG, ConfigFile, folder_claims, read_config
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.model_parts import Examined, ModelParts
from qaudit.static.tensors.modules import gathered
from qaudit.static.tensors.weight_files import WeightFolder, folder_of, weight_folders

MAX_LARGE = 64 << 20  # bytes of a JSON file that is mostly a vocabulary
MOST_FILES = 2000
MOST_SETTINGS = 2000
JSON = (".json", ".webmanifest")
YAML = (".yaml", ".yml")
# a key of the rules that has no number as a token of a vocabulary has, also with letters written as
# escapes, which an honest file has no reason for
_TELLING = LazyPattern(
    rb'"(?:auto_map|custom_pipelines?|custom_generate|trust_remote_code|__?target__?|_partial_target_'
    rb"|_?(?:attn|experts|mlp|moe|linear_attn)_implementation(?:_internal)?"
    rb'|kernel_config|kernel_mapping|kernels|use_kernels|hub_kernels|kernel_repo)"\s*:\s*[\[{"t]'
    rb"|\\u00(?:[46][0-9a-fA-F]|[57][0-9aA]|5[fF])"
)
_TEXT = ("text_config", "llm_config", "language_config", "thinker_config")


def inspect_configs(folder: FolderView, case: Case) -> Examined:
    """Look at every JSON and YAML file of a download."""
    examined = Examined()
    homes = {home.path: home for home in weight_folders(folder)}
    number = 0
    for entry in folder.entries:
        if (entry.link is not None and entry.escapes) or entry.kind not in (
            "config",
            "tokenizer",
            "text",
            "other",
        ):
            continue
        name = entry.path.lower()
        if not name.endswith(JSON + YAML) or name.endswith(".index.json"):
            continue
        number += 1
        if number > MOST_FILES:
            why = f"more than {MOST_FILES} files of configuration"
            examined.surfaces.append(Surface(entry.path, "config", "skipped", why))
            break
        try:
            examined.add(_yaml(entry) if name.endswith(YAML) else _json(entry, folder, homes))
        except InputError as error:
            examined.surfaces.append(Surface(entry.path, "config", "skipped", str(error)))
    return examined


def _json(entry: Entry, folder: FolderView, homes: Mapping[str, WeightFolder]) -> Examined:
    if entry.size > MAX_CONFIG and not _telling(entry):
        return Examined(surfaces=[Surface(entry.path, "config", "examined")])
    file = read_config(entry, MAX_CONFIG if entry.size <= MAX_CONFIG else MAX_LARGE)
    state = Surface(entry.path, "config", "examined")
    if not file.whole:
        state = Surface(entry.path, "config", "partial", "more members than are looked at")
    books = (code_rules.BOOK, library_rules.BOOK, prompt_rules.BOOK)
    examined = Examined([finding for book in books for finding in book.findings(file)], [state])
    if file.name == "config.json" and isinstance(file.document.value, dict):
        home = folder_of(entry.path)
        claims = folder_claims(folder, home)
        if claims is not None:
            examined.findings += quantization_rules.BOOK.findings(claims)
        for sizes in _size_cases(file, file.document.value, homes.get(home)):
            examined.findings += size_rules.BOOK.findings(sizes)
        if not home:
            examined.parts = ModelParts(entry.path, "", settings=_settings(file))
    return examined


def _telling(entry: Entry) -> bool:
    with opened(entry) as source:
        if source.size > MAX_LARGE:
            raise InputError(f"{entry.path}: {source.size} bytes, more than {MAX_LARGE} are not read")
        return _TELLING.search(source.read_at(0, source.size)) is not None


def _yaml(entry: Entry) -> Examined:
    with opened(entry) as source:
        if source.size > MAX_CONFIG:
            raise InputError(f"{entry.path}: {source.size} bytes, more than {MAX_CONFIG} are not read")
        text = source.read_at(0, source.size).decode("utf-8", errors="replace")
    findings = yaml_rules.BOOK.findings(yaml_rules.YamlFile(entry.path, text))
    return Examined(findings, [Surface(entry.path, "config", "examined")])


def _size_cases(
    file: ConfigFile, config: Mapping[str, object], home: WeightFolder | None
) -> Iterator[size_rules.SizeCase]:
    modules = gathered(home.tensors()) if home is not None and home.complete else {}
    nested = next((key for key in _TEXT if isinstance(config.get(key), dict)), None)
    if nested is None:
        yield size_rules.SizeCase(file.path, config, "", modules)
        return
    # what stands at the top holds for the whole model too
    yield size_rules.SizeCase(file.path, config, "", {})
    inner = config[nested]
    if isinstance(inner, dict):
        yield size_rules.SizeCase(file.path, inner, f"{nested}.", modules)


def _settings(file: ConfigFile) -> dict[str, object]:
    """Return the plain values of config.json, two levels deep, for comparison with a reference."""
    value = file.document.value
    found: dict[str, object] = {}
    for key, item in value.items() if isinstance(value, dict) else ():
        inner = item.items() if isinstance(item, dict) else ()
        pairs = [(f"{key}.{name}", one) for name, one in inner] or [(key, item)]
        for name, one in pairs:
            if len(found) < MOST_SETTINGS and not isinstance(one, dict):
                found[f"config.json:{name[:200]}"] = one
    return found
