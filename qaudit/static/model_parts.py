"""What every format holds, told in one way, so that a candidate can be laid beside its reference.

A GGUF and a folder in Hugging Face layout both have templates, a vocabulary, tensors and settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from qaudit.findings import Finding, Surface


@dataclass(frozen=True, slots=True)
class TemplateText:
    """One chat template as it stands in a file.

    Attributes:
        location: `file:key`, such as `model.gguf:tokenizer.chat_template`.
        name: `default`, or the name under which it is offered (`tool_use`).
        dialect: Jinja, or Go's text/template of an Ollama Modelfile.
    """

    location: str
    name: str
    text: str
    dialect: Literal["jinja", "go"] = "jinja"


@dataclass(frozen=True, slots=True)
class TensorRow:
    """One tensor. `shape` is in Hugging Face order, [out, in]; `type` as the file names it."""

    name: str
    shape: tuple[int, ...]
    type: str
    bytes: int


@dataclass(frozen=True, slots=True)
class VocabularyView:
    """A tokenizer.

    Attributes:
        tokens: by id; None where a file gives no vocabulary; sparse ids are None.
        kinds: GGUF's token types by id (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte).
        special: role (`bos`, `eos`, `pad`, `eot`, ...) -> id.
        added: content -> (id, flags) of added tokens.
        model: `gpt2`, `llama`, `BPE`, `Unigram`, ...; `pre` the pre-tokenizer's name or digest.
    """

    location: str
    model: str
    tokens: Sequence[str | None]
    kinds: Sequence[int] = ()
    merges: Sequence[str] = ()
    scores: Sequence[float] = ()
    special: Mapping[str, int] = field(default_factory=dict)
    added: Mapping[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    pre: str = ""


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The parts of one model; what a file does not have is empty or None.

    Attributes:
        format: `gguf`, `safetensors`, `awq`, `gptq`, ...
        settings: flat metadata: `general.architecture`, or `config.json:hidden_size`.
    """

    location: str
    format: str
    templates: tuple[TemplateText, ...] = ()
    vocabulary: VocabularyView | None = None
    tensors: tuple[TensorRow, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Examined:
    """What looking at one file, or at a folder as a whole, gave."""

    findings: list[Finding] = field(default_factory=list)
    surfaces: list[Surface] = field(default_factory=list)
    parts: ModelParts | None = None

    def add(self, other: "Examined") -> None:
        """Take in what another look gave; the first parts that are there are kept."""
        self.findings += other.findings
        self.surfaces += other.surfaces
        self.parts = self.parts or other.parts
