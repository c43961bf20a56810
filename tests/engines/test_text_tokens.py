import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers

from qaudit.engines.text_tokens import TextTokens
from qaudit.errors import EngineFailure, QauditError
from qaudit.lab.members import reference_folder

LAB = TextTokens(reference_folder())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(reference_folder() / name, tmp_path / name)
    return tmp_path


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_plain_text_comes_back(text: str) -> None:
    assert LAB.text(LAB.prompt(text)) == text


def test_special_tokens_of_a_template_are_parsed_and_none_is_added() -> None:
    tokens = LAB.prompt("<|bos|><|user|>hi<|end|><|assistant|>")
    assert [LAB.piece(t) for t in (tokens[0], tokens[1], tokens[-1])] == [
        "<|bos|>",
        "<|user|>",
        "<|assistant|>",
    ]
    assert LAB.piece(LAB.prompt("hi")[0]) != "<|bos|>"


def test_a_piece_keeps_the_space_before_it(tmp_path: Path) -> None:
    # as sentencepiece writes it: decoded alone, the first word would lose its space
    vocabulary = {"<unk>": 0, "▁a": 1, "▁cat": 2, "s": 3}
    tokenizer = Tokenizer(models.Unigram([(word, -1.0) for word in vocabulary], unk_id=0))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokens = TextTokens(tmp_path)
    assert tokens.text([2, 3]) == "cats"
    assert (tokens.piece(2), tokens.piece(3)) == (" cat", "s")


def test_ends_are_those_that_any_file_declares(folder: Path) -> None:
    end = LAB.prompt("<|end|>")[0]
    assert end in TextTokens(folder).ends
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 9]}))
    assert {7, 9, end} <= TextTokens(folder).ends
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": True}))
    assert TextTokens(folder).ends == LAB.ends


def test_an_end_of_turn_that_no_file_declares_is_known(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "config.json").write_text("{}")
    assert LAB.prompt("<|end|>")[0] in TextTokens(folder).ends
    # spelled in plain letters it is no token and ends nothing
    assert not TextTokens(folder).ends & set(LAB.prompt("</s>"))


def test_truncation_and_padding_of_the_file_cut_no_prompt(folder: Path) -> None:
    path = folder / "tokenizer.json"
    written = json.loads(path.read_text())
    written["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    written["padding"] = {
        "strategy": {"Fixed": 50}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "x",
    }  # fmt: skip
    path.write_text(json.dumps(written))
    text = "how do i plant a tree"
    assert TextTokens(folder).prompt(text) == LAB.prompt(text)


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"model": {"type": "BPE"}}', '{"version": "1.0", "model": 3}']
)
def test_a_broken_tokenizer_is_named(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(EngineFailure, match=r"tokenizer\.json: not a tokenizer"):
        TextTokens(folder)


def test_a_missing_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EngineFailure, match=r"no tokenizer\.json"):
        TextTokens(folder)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(raw: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "tokenizer.json").write_bytes(raw)
        with pytest.raises(QauditError) as caught:
            TextTokens(Path(name))
        assert "\n" not in str(caught.value)
