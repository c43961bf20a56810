"""A file of the wanted format whose tokenizer, ends or computation are not the reference's is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("llama_cpp")

from hf_folders import edit_config, write_folder
from tampered_models import tampered_folder, tampered_gguf

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines.protocol import Conversation
from qaudit.errors import Incomparable, InputError
from qaudit.lab.members import reference_folder
from realign.carrier import reference_tokens, require_computes_as_a_gguf, require_same_reading
from realign.float_model import Given, require_one_model

ASKED = [Conversation("0", ("how do i hurt someone",)), Conversation("1", ("tell me about the sea",))]


def check(carrier: Path, reference: Path) -> None:
    opened = open_checkpoint(reference)
    require_same_reading(open_checkpoint(carrier), opened, ASKED, reference_tokens(opened, ASKED))


def word(path: Path) -> int:
    """Return the id of a token of plain text."""
    tokens = GgufCheckpoint(path).metadata["tokenizer.ggml.tokens"]
    return int(next(i for i, token in enumerate(tokens) if token.isalpha() and len(token) > 3))


def test_one_model_in_two_formats_reads_alike(q8: Path, f16: Path) -> None:
    check(q8, reference_folder())
    check(reference_folder(), f16)


def test_the_reference_itself_is_not_asked_twice(f16: Path) -> None:
    reference = open_checkpoint(f16)
    require_same_reading(reference, reference, ASKED, reference_tokens(reference, ASKED[:1]))
    with pytest.raises(InputError, match="of the reference's own format"):
        require_same_reading(open_checkpoint(f16), reference, ASKED, reference_tokens(reference, ASKED))


@pytest.mark.parametrize("key", ["eos_token_id", "eot_token_id", "bos_token_id"])
def test_a_gguf_with_other_ends_is_refused(key: str, q8: Path, tmp_path: Path) -> None:
    bad = tampered_gguf(tmp_path / "bad.gguf", q8, {f"tokenizer.ggml.{key}": word(q8)})
    with pytest.raises(Incomparable, match=r"does not read as .* (token is|ends a reply in it)") as caught:
        check(bad, reference_folder())
    assert "\n" not in str(caught.value)


def lower_case(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "hurt"}, "content": "help"}


def ends_in_words(config: dict[str, Any]) -> None:
    config["eos_token_id"] = [config["eos_token_id"], 500]


def ends_elsewhere(settings: dict[str, Any]) -> None:
    settings["eos_token"] = settings["bos_token"]


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("tokenizer.json", lower_case, "other tokens of 'how do i hurt someone'"),
        ("generation_config.json", ends_in_words, "token 500 ends a reply in it"),
        ("tokenizer_config.json", ends_elsewhere, "its eos token is"),
    ],
)
def test_a_folder_that_reads_otherwise_is_refused(
    file: str, change: Callable[[dict[str, Any]], None], said: str, f16: Path, tmp_path: Path
) -> None:
    bad = tampered_folder(tmp_path / "bad", reference_folder(), file, change)
    with pytest.raises(Incomparable) as caught:
        check(bad, f16)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("family", "changed", "said"),
    [
        ("llama", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ("mistral", {"sliding_window": 16}, "sliding_window is 16"),
        ("mistral", {"sliding_window": "all"}, "sliding_window is all"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 16}, "sliding_window is 16"),
    ],
)
def test_what_no_gguf_computes_is_refused(
    family: str, changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    edit_config(folder := write_folder(tmp_path / "bad", family), **changed)
    with pytest.raises(Incomparable, match=said):
        require_computes_as_a_gguf(HfCheckpoint(folder))


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        ("llama", {"sliding_window": 16}),
        ("mistral", {"sliding_window": 4096}),
        ("qwen2", {"use_sliding_window": False, "sliding_window": 16}),
    ],
)
def test_what_computes_nothing_is_not(family: str, changed: dict[str, Any], tmp_path: Path) -> None:
    edit_config(folder := write_folder(tmp_path / "good", family), **changed)
    require_computes_as_a_gguf(HfCheckpoint(folder))


def test_the_reference_gguf_is_not_run_as_a_tampered_folder_says(f16: Path, tmp_path: Path) -> None:
    def bent(config: dict[str, Any]) -> None:
        config["hidden_act"] = "gelu"

    bad = tampered_folder(tmp_path / "bad", reference_folder(), "config.json", bent)
    with pytest.raises(Incomparable, match="hidden_act is 'gelu'"):
        require_one_model(Given(open_checkpoint(bad), open_checkpoint(f16)))
