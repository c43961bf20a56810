"""Rules over files that one library reads: PEFT's adapter_config, sentence-transformers, diffusers."""

import re
from collections.abc import Iterator

from qaudit.findings import Severity
from qaudit.static.configs.code_rules import is_dangerous
from qaudit.static.configs.documents import ConfigFile
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[ConfigFile] = RuleBook("library", "files that PEFT, sentence-transformers and diffusers read")
PEFT = "https://huggingface.co/docs/peft/package_reference/config"
SENTENCES = "https://sbert.net/docs/package_reference/sentence_transformer/models.html"
DIFFUSERS = "https://huggingface.co/docs/diffusers/using-diffusers/custom_pipeline_overview"
_KNOWN_PARENTS = LazyPattern(r"(?:transformers|peft|diffusers|torch\.nn|timm)(?:\.\w+)*")
_KNOWN_MODULES = LazyPattern(r"(?:sentence_transformers|pylate|model2vec)(?:\.\w+)*")
_KNOWN_COMPONENTS = LazyPattern(
    r"(?:diffusers|transformers|k_diffusion|optimum|onnxruntime|stable_diffusion|flax|peft|null"
    r"|unet|pipelines"
    r"|diffusers\.[\w.]+|transformers\.[\w.]+|optimum\.[\w.]+|latent_diffusion|paint_by_example|deprecated)"
)
_TORCH = LazyPattern(r"torch\.nn(?:\.\w+)+|sentence_transformers(?:\.\w+)+")
_ELSEWHERE = LazyPattern(
    r"(?:https?|ftp|file|s3|gs):.*|(?:.*[/\\])?\.\.(?:[/\\].*)?|[A-Za-z]:\\.*|\\\\.*", re.IGNORECASE
)
_ROOTED = LazyPattern(r"[/~].*")


@BOOK.rule(
    "adapter-parent", "high",
    title="an adapter names a module to be imported",
    why="PEFT imports auto_mapping.parent_library when an adapter without a task is loaded.",
    remedy="do not load it; ask for an adapter with a task_type", sources=(PEFT,),
)  # fmt: skip
def adapter_parent(file: ConfigFile) -> Iterator[Hit]:
    """Find a parent library that no adapter of a published architecture has."""
    value = _object(file, "adapter_config.json").get("auto_mapping")
    if isinstance(value, dict):
        parent = value.get("parent_library")
        if isinstance(parent, str) and not _KNOWN_PARENTS.fullmatch(parent):
            # custom code of the base model is imported under this name
            own = parent.startswith("transformers_modules.")
            severity: Severity | None = "critical" if is_dangerous(parent) else "medium" if own else None
            yield Hit(f"{file.path}:auto_mapping.parent_library", ascii(parent[:200]), severity)


@BOOK.rule(
    "adapter-base", "medium",
    title="an adapter's base model is no repository",
    why="The base is fetched by this name: an address or a way up leads to a model of someone's choice.",
    remedy="name the base model yourself", sources=(PEFT,),
)  # fmt: skip
def adapter_base(file: ConfigFile) -> Iterator[Hit]:
    """Find addresses and ways up; a path of the machine that trained it is only worth knowing."""
    value = _object(file, "adapter_config.json").get("base_model_name_or_path")
    if isinstance(value, str):
        if _ELSEWHERE.fullmatch(value[:400]):
            yield Hit(f"{file.path}:base_model_name_or_path", ascii(value[:200]))
        elif _ROOTED.fullmatch(value[:400]):
            yield Hit(f"{file.path}:base_model_name_or_path", ascii(value[:200]), "info")


@BOOK.rule(
    "sentence-module", "high",
    title="a module of a sentence model is not of its library",
    why="sentence-transformers imports the dotted name under `type` and makes an object of it.",
    remedy="do not load it with trust_remote_code", sources=(SENTENCES,),
)  # fmt: skip
def sentence_module(file: ConfigFile) -> Iterator[Hit]:
    """Find types outside of the library in modules.json."""
    for index, module in enumerate(_modules(file)):
        kind = module.get("type")
        if isinstance(kind, str) and not _KNOWN_MODULES.fullmatch(kind):
            severity: Severity | None = "critical" if is_dangerous(kind) else None
            yield Hit(f"{file.path}:[{index}].type", ascii(kind[:200]), severity)


@BOOK.rule(
    "sentence-path", "critical",
    title="a module of a sentence model lies outside the download",
    why="The path is joined to the folder, and what it leads to is loaded.",
    remedy="do not load it, and report who offers it", sources=(SENTENCES, "CWE-22"),
)  # fmt: skip
def sentence_path(file: ConfigFile) -> Iterator[Hit]:
    """Find paths with a way up or a root in modules.json."""
    for index, module in enumerate(_modules(file)):
        path = module.get("path")
        if isinstance(path, str) and (_ELSEWHERE.fullmatch(path[:400]) or _ROOTED.fullmatch(path[:400])):
            yield Hit(f"{file.path}:[{index}].path", ascii(path[:200]))


@BOOK.rule(
    "activation-import", "high",
    title="an activation function is a module to be imported",
    why="Sentence and cross encoders import the dotted name that stands here.",
    remedy="do not load it with trust_remote_code", sources=(SENTENCES,),
)  # fmt: skip
def activation(file: ConfigFile) -> Iterator[Hit]:
    """Find dotted names outside of torch in the configuration of cross encoders and dense layers."""
    value = file.document.value
    config = value if isinstance(value, dict) else {}
    inner = config.get("sentence_transformers")
    places = [("activation_function", config), ("sbert_ce_default_activation_function", config)]
    places += [("activation_fn", inner)] if isinstance(inner, dict) else []
    for key, holder in places:
        name = holder.get(key)
        if isinstance(name, str) and "." in name and not _TORCH.fullmatch(name):
            severity: Severity | None = "critical" if is_dangerous(name) else None
            yield Hit(f"{file.path}:{key}", ascii(name[:200]), severity)


@BOOK.rule(
    "pipeline-component", "medium",
    title="a pipeline's component is of a module of its own",
    why="diffusers imports the module from the download when custom code is allowed.",
    remedy="read that code first", sources=(DIFFUSERS,),
)  # fmt: skip
def pipeline_component(file: ConfigFile) -> Iterator[Hit]:
    """Find components of model_index.json whose library is none of the known ones."""
    for key, value in _object(file, "model_index.json").items():
        pair = value if isinstance(value, list) and len(value) == 2 else [None]
        if isinstance(pair[0], str) and not _KNOWN_COMPONENTS.fullmatch(pair[0]):
            yield Hit(f"{file.path}:{ascii(key[:80])[1:-1]}", ascii(pair[0][:160]))


def _object(file: ConfigFile, name: str) -> dict[str, object]:
    value = file.document.value
    return value if file.name == name and isinstance(value, dict) else {}


def _modules(file: ConfigFile) -> Iterator[dict[str, object]]:
    value = file.document.value
    if file.name == "modules.json" and isinstance(value, list):
        for module in value[:1000]:
            yield module if isinstance(module, dict) else {}
