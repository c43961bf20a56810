import pytest

from qaudit.static import comparing
from qaudit.static.comparing import compare
from qaudit.static.model_parts import ModelParts, TensorRow
from qaudit.values import Finding


def model(name: str, *, size: int = 1, kind: str = "model", format: str = "gguf") -> ModelParts:
    return ModelParts(
        name, format, tensors=(TensorRow("t", (size,), "F32", size),), settings={"general.type": kind}
    )


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What is compared with what, by which comparison."""
    seen: list[tuple[str, str, str]] = []

    def noting(what: str) -> comparing.Compare:
        def note(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
            seen.append((what, candidate.location, reference.location))
            return [Finding(f"{what}/differs", "low", "T", candidate.location, "E", "R")]

        return note

    for name in ("COMPARISONS", "FOR_ADAPTERS"):
        table = getattr(comparing, name)
        monkeypatch.setattr(comparing, name, tuple((what, noting(what)) for what, _ in table))
    return seen


def test_each_model_is_compared_in_every_respect(pairs: list[tuple[str, str, str]]) -> None:
    compared = compare([model("a"), model("b")], [model("r")], "ref")
    assert pairs == [
        (what, name, "r") for name in "ab" for what in ("templates", "vocabularies", "settings", "tensors")
    ]
    assert len(compared.findings) == 8
    assert [(s.path, s.state) for s in compared.surfaces] == [("a", "examined"), ("b", "examined")]


def test_an_adapter_is_fitted_to_its_model_and_compared_with_another_adapter(
    pairs: list[tuple[str, str, str]],
) -> None:
    compare([model("a", kind="adapter")], [model("r")], "ref")
    assert pairs == [("adapter", "a", "r")]
    pairs.clear()
    compare([model("a", kind="adapter")], [model("r"), model("s", kind="adapter")], "ref")
    assert {reference for _, _, reference in pairs} == {"s"}


def test_what_could_not_be_compared_is_an_open_question() -> None:
    for candidates, references in (([], [model("r")]), ([model("a")], [])):
        (surface,) = compare(candidates, references, "ref").surfaces
        assert surface.is_open
        assert "ref" in surface.path + surface.why


def test_the_same_model_differs_in_nothing() -> None:
    assert compare([model("a")], [model("a")], "ref").findings == []
