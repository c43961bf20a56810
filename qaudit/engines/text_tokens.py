"""A folder's tokenizer.json as text to tokens and back; no tokenizer code of the folder is ever run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qaudit.checkpoints.hf_repo import CONFIG, MAX_CONFIG_BYTES, MAX_TOKENIZER_BYTES, read_object
from qaudit.engines.answers import one_line
from qaudit.errors import EngineFailure, MissingExtra
from qaudit.files import read_bounded

try:
    from tokenizers import Tokenizer
except ImportError as error:
    raise MissingExtra("tokenizers", "hf") from error

# tokens that end a turn in the families that people deploy, where a configuration forgets to say so
ENDS_OF_TURN = (
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>",
    "<turn|>", "<|return|>", "<|user|>", "</s>", "<eos>", "<|eot|>", "[EOS]",
)  # fmt: skip


class TextTokens:
    """The tokenizer of a folder in Hugging Face layout.

    Raises:
        EngineFailure: there is no tokenizer.json, or the tokenizers library refuses it.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise EngineFailure(
                f"{folder}: has no tokenizer.json; write one with save_pretrained of a fast tokenizer"
            )
        raw = read_bounded(path, MAX_TOKENIZER_BYTES)
        try:
            self._tokenizer = Tokenizer.from_buffer(raw)
        except Exception as error:
            raise EngineFailure(f"{path}: not a tokenizer ({one_line(str(error), 160)})") from error
        # settings of a call that somebody once made; here they would cut prompts
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.ends = _ends(folder, self._tokenizer)
        anchor = self._tokenizer.encode("a", add_special_tokens=False).ids[-1:]
        self._anchor = anchor
        self._anchor_text = self.text(anchor)

    def prompt(self, text: str) -> list[int]:
        """Return the ids of a rendered prompt: special tokens are parsed, none is added."""
        return self._encode(text, special=False)

    def passage(self, text: str) -> list[int]:
        """Return the ids of plain text, opened as the tokenizer opens it (BOS, where it has one)."""
        return self._encode(text, special=True)

    def _encode(self, text: str, *, special: bool) -> list[int]:
        try:
            return list(self._tokenizer.encode(text, add_special_tokens=special).ids)
        except Exception as error:
            raise EngineFailure(f"the tokenizer fails on a prompt ({one_line(str(error), 160)})") from error

    def text(self, tokens: Sequence[int]) -> str:
        """Return what tokens spell, special ones included."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=False))

    def piece(self, token: int) -> str:
        """Return what one token spells in the middle of a text, with the space that it may begin with."""
        return self.text([*self._anchor, token]).removeprefix(self._anchor_text)


def _ends(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    declared: list[object] = []
    for name in ("generation_config.json", CONFIG):
        if (folder / name).is_file():
            value = read_object(folder / name, MAX_CONFIG_BYTES).get("eos_token_id")
            declared += value if isinstance(value, list) else [value]
    found = {token for token in declared if isinstance(token, int) and not isinstance(token, bool)}
    return frozenset(found | set(_known(tokenizer, [*_eos_text(folder), *ENDS_OF_TURN])))


def _eos_text(folder: Path) -> list[str]:
    path = folder / "tokenizer_config.json"
    eos: Any = read_object(path, MAX_CONFIG_BYTES).get("eos_token") if path.is_file() else None
    text = eos.get("content") if isinstance(eos, Mapping) else eos
    return [text] if isinstance(text, str) else []


def _known(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterable[int]:
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    for text in texts:
        # only a token of its own: the same letters in plain text end nothing
        if text in special and (token := tokenizer.token_to_id(text)) is not None:
            yield token
