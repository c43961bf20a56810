import pytest

from qaudit.static.pickles.window import Held
from qaudit.static.repository.foreign_formats import foreign_notes, is_foreign


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.h5", b"\x89HDF\r\n" + b'{"class_name": "Lambda", "config": {}}'),
        ("saved_model.pb", b"\x12\x04node\x0a\x08ReadFile\x12"),
        ("saved_model.pb", b"\x12\x09WriteFile\x1a"),
        ("m.onnx", b"\x0a\x08location\x12\x0c../../secret"),
        ("m.pmml", b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"),
    ],
)
def test_what_runs_code(name: str, data: bytes) -> None:
    assert is_foreign(name)
    for content in (data, bytes(9 << 20) + data):
        assert "foreign-code" in [note.code for note in foreign_notes(Held(content, name))]


@pytest.mark.parametrize("name", ["m.h5", "m.pb", "m.onnx", "m.tflite"])
def test_what_does_not(name: str) -> None:
    data = b"ReadFileLike \x0a\x06MatMul\x12 Dense location\x12\x08data.bin SaveV2"
    assert [note.code for note in foreign_notes(Held(data, name))] == ["foreign-format=info"]


def test_others_are_not_foreign() -> None:
    assert not is_foreign("model.safetensors")
