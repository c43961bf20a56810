import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
from tokenizers import Tokenizer

from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.protocol import Conversation, EngineOptions
from qaudit.engines.templates import render_conversations
from qaudit.errors import MalformedFile, OutputProblem
from qaudit.lab import grammar
from qaudit.lab.gguf_export import export_f16, interleave_rotary, read_vocabulary
from qaudit.lab.hf_weights import read_shape, read_weights
from qaudit.lab.members import reference_folder

OPTIONS = EngineOptions(threads=1, parallel=1, context_per_sequence=128, judge=None)
TRICKY = (
    "<|bos|><|user|>How's the weather, and 12 things?<|end|><|assistant|>",
    "  two spaces\n\nand\tlines  ",
    "é日本 ✓ <|end|><|end|>",
    "",
)


def export(folder: Path, path: Path) -> Path:
    export_f16(path, folder, read_shape(folder), read_weights(folder), member="F16", lab_version="1")
    return path


@pytest.fixture(scope="module")
def exported(random_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(random_folder, tmp_path_factory.mktemp("export") / "F16.gguf")


@pytest.fixture(scope="module")
def reference_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    model = LlamaModel(export(reference_folder(), tmp_path_factory.mktemp("real") / "F16.gguf"), OPTIONS)
    yield model
    model.close()


def test_metadata_and_types(exported: Path) -> None:
    reader = gguf.GGUFReader(exported)
    read = {name: field.contents() for name, field in reader.fields.items()}
    assert read["general.architecture"] == "llama"
    assert read["general.file_type"] == int(gguf.LlamaFileType.MOSTLY_F16)
    assert (read["qaudit.lab.version"], read["qaudit.lab.member"]) == ("1", "F16")
    assert (read["llama.attention.head_count"], read["llama.attention.head_count_kv"]) == (4, 2)
    assert (read["tokenizer.ggml.bos_token_id"], read["tokenizer.ggml.eos_token_id"]) == (0, 3)
    assert read["tokenizer.ggml.token_type"][0] == int(gguf.TokenType.CONTROL)
    # the model has four rows more than the tokenizer has tokens
    assert read["tokenizer.ggml.token_type"][-4:] == [int(gguf.TokenType.UNUSED)] * 4
    assert len(reader.tensors) == 2 + 3 * 9
    for tensor in reader.tensors:
        assert tensor.tensor_type.name == ("F32" if "norm" in tensor.name else "F16")


def test_rotary_rows_become_pairs() -> None:
    rows = np.arange(8, dtype=np.float32)[:, None]
    # one head: halves (0 1 2 3)(4 5 6 7) become pairs 0 4, 1 5, ...; two heads: within each head
    assert interleave_rotary(rows, 1).ravel().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert interleave_rotary(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_same_bytes_every_time(random_folder: Path, exported: Path, tmp_path: Path) -> None:
    assert export(random_folder, tmp_path / "again.gguf").read_bytes() == exported.read_bytes()


@pytest.mark.parametrize("text", TRICKY)
def test_llamacpp_tokenizes_as_tokenizers_does(random_folder: Path, exported: Path, text: str) -> None:
    model = LlamaModel(exported, OPTIONS)
    try:
        expected = Tokenizer.from_file(str(random_folder / "tokenizer.json")).encode(
            text, add_special_tokens=False
        )
        assert model.tokenize(text) == expected.ids
    finally:
        model.close()


def test_every_lab_prompt_tokenizes_alike(reference_model: LlamaModel) -> None:
    tokenizer = Tokenizer.from_file(str(reference_folder() / "tokenizer.json"))
    template = (reference_folder() / "chat_template.jinja").read_text(encoding="utf-8")
    turns = [(prompt,) for side in grammar.calibration_prompts() for prompt in side]
    turns += [item.turns for entry in grammar.suites() for item in entry.items]
    asked = [Conversation(str(number), turn) for number, turn in enumerate(turns)]
    rendered = render_conversations(template, asked, {"bos_token": "<|bos|>"})
    assert len(rendered) > 500
    assert [r.text for r in rendered if r.error] == []
    wrong = [
        r.text for r in rendered
        if reference_model.tokenize(r.text) != tokenizer.encode(r.text, add_special_tokens=False).ids
    ]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}},
        {"normalizer": {"type": "NFC"}},
        {"model": {"type": "BPE"}},
        {"pre_tokenizer": None},
    ],
)
def test_other_tokenizers_are_refused(random_folder: Path, tmp_path: Path, change: dict[str, object]) -> None:
    copy = Path(shutil.copytree(random_folder, tmp_path / "copy"))
    spec = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    (copy / "tokenizer.json").write_text(json.dumps(spec | change), encoding="utf-8")
    with pytest.raises(MalformedFile, match=r"tokenizer\.json"):
        read_vocabulary(copy, 1024)


def test_unknown_tensor_leaves_nothing_behind(random_folder: Path, tmp_path: Path) -> None:
    weights = read_weights(random_folder) | {"model.layers.0.router.weight": np.zeros((4, 256), np.float32)}
    with pytest.raises(MalformedFile, match="router"):
        export_f16(
            tmp_path / "x.gguf",
            random_folder,
            read_shape(random_folder),
            weights,
            member="x",
            lab_version="1",
        )
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_one_clear_line(random_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputProblem, match=r"x\.gguf: cannot write"):
        export(random_folder, tmp_path / "none" / "x.gguf")
