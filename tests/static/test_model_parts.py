from qaudit.static.model_parts import Examined, ModelParts, TensorRow
from qaudit.values import Finding, Surface

FINDING = Finding("f/x", "low", "T", "L", "E", "R")


def test_taking_in_keeps_everything_and_the_first_parts() -> None:
    first, second = ModelParts("a", "gguf"), ModelParts("b", "awq")
    examined = Examined()
    examined.add(Examined([FINDING], [Surface("a", "gguf", "examined")], first))
    examined.add(Examined([FINDING], [], second))
    examined.add(Examined())
    assert examined.findings == [FINDING, FINDING]
    assert [surface.path for surface in examined.surfaces] == ["a"]
    assert examined.parts is first


def test_what_a_file_does_not_have_is_empty() -> None:
    parts = ModelParts("a", "gguf", tensors=(TensorRow("t", (2, 3), "Q4_K", 12),))
    assert (parts.templates, parts.vocabulary, dict(parts.settings)) == ((), None, {})
    assert parts.tensors[0].shape == (2, 3)


def test_two_looks_share_nothing() -> None:
    one, other = Examined(), Examined()
    one.findings.append(FINDING)
    assert other.findings == []
