from pathlib import Path

import pytest
from attacks.gguf_builder import STRING, U32, GgufBuilder, Tensor, small_model, split_pairs

from qaudit.checkpoints.gguf import read_gguf
from qaudit.errors import InputError, OutputProblem
from realign.gguf_file import NewTensor, header_bytes, write_gguf_file

TENSORS = [
    NewTensor("token_embd.weight", (64, 3), "Q8_0"),
    NewTensor("output_norm.weight", (33,), "F32"),
    NewTensor("blk.0.attn_q.weight", (256, 2), "Q2_K"),
]
DATA = [bytes(range(tensor.size % 251)) * 9 for tensor in TENSORS]


def data() -> list[list[bytes]]:
    # in two pieces each, so that nothing hangs on how it comes
    return [
        [(content * 9)[:5], (content * 9)[5 : tensor.size]]
        for content, tensor in zip(DATA, TENSORS, strict=True)
    ]


def test_metadata_of_every_kind_are_carried_over(tmp_path: Path) -> None:
    template = small_model().write(tmp_path / "template.gguf")
    write_gguf_file(
        tmp_path / "new.gguf", template, TENSORS, data(), {"general.file_type": 10, "lab.said": "é"}
    )
    old, new = read_gguf(template), read_gguf(tmp_path / "new.gguf")
    assert list(new.metadata) == [key for key in old.metadata if key != "general.file_type"] + [
        "general.file_type",
        "lab.said",
    ]
    assert {key: repr(value) for key, value in new.metadata.items()} == {
        key: repr(value) for key, value in {**old.metadata, "general.file_type": 10, "lab.said": "é"}.items()
    }


def test_tensors_lie_where_the_table_says(tmp_path: Path) -> None:
    template = small_model().write(tmp_path / "template.gguf")
    write_gguf_file(tmp_path / "new.gguf", template, TENSORS, data(), {})
    file, raw = read_gguf(tmp_path / "new.gguf"), (tmp_path / "new.gguf").read_bytes()
    assert [(t.name, t.shape, t.type.name) for t in file.tensors] == [
        (t.name, t.shape, t.ggml_type) for t in TENSORS
    ]
    for tensor, pieces in zip(file.tensors, data(), strict=True):
        assert tensor.offset % 32 == 0
        assert raw[tensor.offset : tensor.offset + tensor.size] == b"".join(pieces)


def test_what_is_of_a_split_set_or_another_alignment_is_not_carried_over(tmp_path: Path) -> None:
    pairs = [
        ("general.architecture", STRING, "llama"),
        ("general.alignment", U32, 128),
        ("quantize.imatrix.file", STRING, "theirs.dat"),
        *split_pairs(0, 1),
    ]
    template = GgufBuilder(pairs=pairs, tensors=[Tensor()], alignment=128).write(tmp_path / "template.gguf")
    write_gguf_file(tmp_path / "new.gguf", template, TENSORS, data(), {})
    assert list(read_gguf(tmp_path / "new.gguf").metadata) == ["general.architecture"]


def test_header_ends_where_data_begin(tmp_path: Path) -> None:
    template = small_model().write(tmp_path / "template.gguf")
    header, alignment = header_bytes(template, TENSORS, {})
    write_gguf_file(tmp_path / "new.gguf", template, TENSORS, data(), {})
    assert (len(header), alignment) == (read_gguf(tmp_path / "new.gguf").data_start, 32)


def test_too_few_bytes_leave_the_old_file(tmp_path: Path) -> None:
    template = small_model().write(tmp_path / "template.gguf")
    (tmp_path / "new.gguf").write_text("old")
    short = [*data()[:2], [b"x"]]
    with pytest.raises(InputError, match=r"blk\.0\.attn_q\.weight: 1 bytes for 168 of Q2_K"):
        write_gguf_file(tmp_path / "new.gguf", template, TENSORS, short, {})
    assert (tmp_path / "new.gguf").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.gguf", "template.gguf"]


def test_bad_places(tmp_path: Path) -> None:
    template = small_model().write(tmp_path / "template.gguf")
    with pytest.raises(OutputProblem, match="cannot write"):
        write_gguf_file(tmp_path / "none" / "new.gguf", template, TENSORS, data(), {})
    with pytest.raises(InputError, match="cannot be read"):
        write_gguf_file(tmp_path / "new.gguf", tmp_path / "none.gguf", TENSORS, data(), {})
