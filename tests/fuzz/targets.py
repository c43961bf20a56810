"""What is fuzzed: every parser that reads a stranger's bytes, as a function of bytes.

Those of qaudit.static are here; readers before loading and verifying are in `fuzz.loader_targets`.

A target must return whatever the bytes are, or raise an error that the parser declares. Each imports only
what it needs: under the fuzzer, every module that is imported is rewritten first, which takes seconds.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from fuzz import loader_targets as loaders
from fuzz.memory_source import MemoryBytes, folder_of

from qaudit.errors import InputError
from qaudit.static.case import Case

CASE = Case()
READING_S = 2.0  # what the analyst process allows, and more: instrumented code is slower
Run = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A parser under attack.

    Attributes:
        make: imports the parser and gives the function that must come back.
        endings: files of the attack table that are its seeds.
        max_len: longest input, in bytes.
        share: part of the executions that `make fuzz` gives to it, beside those of the others.
    """

    name: str
    make: Callable[[], Run]
    endings: tuple[str, ...]
    max_len: int
    share: int


def gguf_walk() -> Run:
    from qaudit.static.gguf.walking import walk_gguf

    return lambda data: walk_gguf(MemoryBytes("f.gguf", data))


def gguf_rules() -> Run:
    from qaudit.static.gguf.inspector import inspect_gguf

    return lambda data: inspect_gguf(MemoryBytes("f.gguf", data), CASE)


def safetensors_walk() -> Run:
    from qaudit.static.tensors.safetensors_walk import walk_safetensors

    return lambda data: walk_safetensors(MemoryBytes("f.safetensors", data))


def safetensors_rules() -> Run:
    from qaudit.static.tensors.inspector import inspect_safetensors

    return lambda data: inspect_safetensors(MemoryBytes("f.safetensors", data), CASE)


def layouts() -> Run:
    from qaudit.static.tensors.layouts import inspect_layouts

    config = b'{"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": true}}'
    deep = Case(deep=True)
    return lambda data: inspect_layouts(folder_of({"model.safetensors": data, "config.json": config}), deep)


def pickles() -> Run:
    from qaudit.static.pickles.inspector import inspect_pickle

    return lambda data: inspect_pickle(MemoryBytes("f.bin", data), CASE)


def archives() -> Run:
    from qaudit.static.archives.inspector import inspect_archive

    return lambda data: inspect_archive(MemoryBytes("f.zip", data), CASE)


def _templates(parse: Callable[[str], Any]) -> Callable[[str], None]:
    from qaudit.sandboxed_templates import TemplateProblem
    from qaudit.static.templates.conditions import condition_notes
    from qaudit.static.templates.costs import costs, endless
    from qaudit.static.templates.dataflow import written_by
    from qaudit.static.templates.escapes import escapes
    from qaudit.static.templates.rendering import TooCostly, limited

    def read(text: str) -> None:
        # what the analyst process does before it renders anything
        with contextlib.suppress(TemplateProblem, TooCostly, RecursionError), limited(READING_S):
            template = parse(text)
            list(escapes(template))
            list(costs(template))
            list(endless(template))
            list(condition_notes(written_by(template)))

    return read


def jinja() -> Run:
    from qaudit.static.model_parts import TemplateText
    from qaudit.static.templates.rendering import parsed
    from qaudit.static.templates.text_rules import BOOK

    read = _templates(parsed)

    def run_both(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        BOOK.findings(TemplateText("fuzzed", "default", text))
        read(text)

    return run_both


def go_template() -> Run:
    from qaudit.static.templates.go_syntax import parsed_go

    read = _templates(parsed_go)
    return lambda data: read(data.decode("utf-8", "replace"))


def modelfile() -> Run:
    from qaudit.static.templates.modelfile import inspect_modelfile

    return lambda data: inspect_modelfile(MemoryBytes("Modelfile", data), CASE)


def tokenizer_json() -> Run:
    from qaudit.static.vocabulary.inspector import inspect_tokenizer_files

    return lambda data: inspect_tokenizer_files(folder_of({"tokenizer.json": data}), CASE)


def sentencepiece() -> Run:
    from qaudit.static.vocabulary.sentencepiece import read_pieces

    return lambda data: read_pieces("tokenizer.model", data)


def config_json() -> Run:
    from qaudit.static.configs.inspector import inspect_configs

    return lambda data: inspect_configs(folder_of({"config.json": data}), CASE)


def index_json() -> Run:
    from qaudit.static.tensors.index import inspect_index

    return lambda data: inspect_index(folder_of({"model.safetensors.index.json": data}), CASE)


def generation_json() -> Run:
    from qaudit.static.metadata.generation import inspect_generation_config

    return lambda data: inspect_generation_config(folder_of({"generation_config.json": data}), CASE)


def python_code() -> Run:
    from qaudit.static.repository.python_walk import walk_python

    return lambda data: walk_python("f.py", data)


def texts() -> Run:
    from qaudit.static.hidden_characters import hidden
    from qaudit.static.kinds import HEAD_BYTES, kind_of
    from qaudit.static.repository.shell_text import commands_in
    from qaudit.static.repository.texts import claims_of, dependency_notes, readme_notes
    from qaudit.static.vocabulary.regex_cost import exponential

    def run_all(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        list(commands_in(text))
        list(readme_notes("README.md", text))
        list(dependency_notes("requirements.txt", text))
        claims_of(text)
        hidden(text)
        exponential(text[:2000])
        kind_of("model.gguf", data[:HEAD_BYTES])

    return run_all


def repository() -> Run:
    from qaudit.static.repository.inspector import inspect_repository

    return lambda data: inspect_repository(folder_of({"README.md": data}), CASE)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("gguf-walk", gguf_walk, (".gguf",), 4096, 20),
        Target("gguf-rules", gguf_rules, (".gguf",), 4096, 2),
        Target("safetensors-walk", safetensors_walk, (".safetensors",), 4096, 20),
        Target("safetensors-rules", safetensors_rules, (".safetensors",), 4096, 5),
        Target("layouts", layouts, ("model.safetensors",), 4096, 1),
        Target("pickle", pickles, (".bin", ".pkl", ".pt", ".npy", ".dat"), 2048, 10),
        Target("archive", archives, (".pt", ".zip", ".tar", ".gz", ".7z", ".npz", ".nemo", ".bz2", ".xz"), 8192, 5),
        Target("jinja", jinja, (".jinja",), 1024, 2),
        Target("go-template", go_template, (".tmpl",), 1024, 3),
        Target("modelfile", modelfile, ("Modelfile",), 2048, 2),
        Target("tokenizer-json", tokenizer_json, ("tokenizer.json",), 4096, 5),
        Target("sentencepiece", sentencepiece, ("tokenizer.model",), 4096, 15),
        Target("config-json", config_json, ("config.json", "modules.json"), 2048, 4),
        Target("index-json", index_json, ("index.json",), 2048, 4),
        Target("generation-json", generation_json, ("generation_config.json",), 2048, 4),
        Target("python", python_code, (".py",), 2048, 4),
        Target("texts", texts, (".md", ".txt", ".sh"), 2048, 4),
        Target("repository", repository, (".md",), 2048, 2),
        Target("gguf-loader", loaders.gguf_loader, (".gguf",), 4096, 10),
        Target("safetensors-loader", loaders.safetensors_loader, (".safetensors",), 4096, 10),
        Target("strict-json", loaders.strict_json, (".json",), 2048, 40),
        Target("strict-yaml", loaders.strict_yaml, (".yaml", ".yml"), 1024, 2),
        Target("signature-bundle", loaders.signature_bundle, (".sigstore.json",), 4096, 20),
        Target("audit-statement", loaders.audit_statement, (), 8192, 4),
        Target("oms-statement", loaders.oms_statement, (), 4096, 10),
        Target("audit-report", loaders.audit_report, ("report.json",), 16384, 2),
    )
}  # fmt: skip


@cache
def made(name: str) -> Run:
    """The target's function, its parser imported."""
    return TARGETS[name].make()


def run(name: str, data: bytes) -> None:
    """Give one input to a target."""
    with contextlib.suppress(InputError):
        made(name)(data)
