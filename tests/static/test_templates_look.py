import threading
from dataclasses import replace

import pytest

from qaudit.errors import EnvironmentProblem
from qaudit.static import templates_look
from qaudit.static.model_parts import Examined, ModelParts, TemplateText, VocabularyView
from qaudit.static.templates_look import TemplatesLook, special_texts
from qaudit.values import Finding, Surface

TEXT = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
VOCABULARY = VocabularyView("v", "gpt2", ["a", "<s>"], special={"bos": 1})


def model(name: str, text: str = TEXT, vocabulary: VocabularyView | None = VOCABULARY) -> ModelParts:
    return ModelParts(
        name, "gguf", (TemplateText(f"{name}:tokenizer.chat_template", "default", text),), vocabulary
    )


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were really looked at; each gives a finding and a surface."""
    seen: list[str] = []

    def look(parts: ModelParts, waiting: None) -> Examined:
        seen.append(parts.location)
        place = parts.templates[0].location
        return Examined(
            [Finding("template/x", "low", "T", f"{place} line 3", "E", "R")],
            [Surface(place, "template", "examined")],
        )

    monkeypatch.setattr(templates_look, "_examined", look)
    return seen


def test_each_model_has_its_findings_in_its_own_place_and_equal_ones_are_looked_at_once(
    looks: list[str],
) -> None:
    other = model("c.gguf", vocabulary=replace(VOCABULARY, tokens=["b", "<s>"]))
    with TemplatesLook([model("a.gguf"), model("b.gguf"), other, model("d.gguf", "{{ 1 }}")]) as look:
        pass
    assert looks == ["a.gguf", "c.gguf", "d.gguf"]
    assert [examined.findings[0].location for examined in look.examined] == [
        f"{name}.gguf:tokenizer.chat_template line 3" for name in "abcd"
    ]
    assert [examined.surfaces[0].path for examined in look.examined] == [
        f"{name}.gguf:tokenizer.chat_template" for name in "abcd"
    ]


def test_the_rest_goes_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, done = threading.Event(), threading.Event()

    def look(parts: ModelParts, waiting: None) -> Examined:
        begun.set()
        assert done.wait(120)
        return Examined()

    monkeypatch.setattr(templates_look, "_examined", look)
    with TemplatesLook([model("a")]) as templates:
        assert begun.wait(120)
        done.set()
    assert templates.examined == [Examined()]


@pytest.mark.parametrize("error", [EnvironmentProblem("no process"), KeyError("ours"), ImportError("gone")])
def test_nothing_that_goes_wrong_is_lost(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(parts: ModelParts, waiting: None) -> Examined:
        raise error

    monkeypatch.setattr(templates_look, "_examined", look)
    with pytest.raises(type(error)), TemplatesLook([model("a")]):
        pass


def test_an_error_of_the_rest_is_the_one_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(parts: ModelParts, waiting: None) -> Examined:
        raise KeyError("ours")

    monkeypatch.setattr(templates_look, "_examined", look)
    with pytest.raises(ValueError, match="theirs"), TemplatesLook([model("a")]):
        raise ValueError("theirs")


def test_without_templates_nothing_is_started() -> None:
    before = set(threading.enumerate())
    with TemplatesLook([ModelParts("a", "gguf")]) as look:
        assert set(threading.enumerate()) <= before
    assert look.examined == []


def test_a_real_template_is_looked_at() -> None:
    with TemplatesLook([model("a.gguf")]) as look:
        pass
    (examined,) = look.examined
    assert [(surface.path, surface.state) for surface in examined.surfaces] == [
        ("a.gguf:tokenizer.chat_template", "examined")
    ]


def test_special_tokens_have_the_names_that_templates_use() -> None:
    vocabulary = VocabularyView(
        "v", "gpt2", ["a", "<s>", None], special={"bos": 1, "eos": 2, "pad": 9, "unk": -1}
    )
    assert special_texts(vocabulary) == {"bos_token": "<s>"}
    assert special_texts(None) == {}
