from template_kit import CHATML, known

from qaudit.static.model_parts import TemplateText
from qaudit.static.templates.copies import BOOK, Copies, rendered_difference, text_difference


def judged(*texts: str, names: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    templates = tuple(
        TemplateText(f"place{i}", names[i] if names else "default", text) for i, text in enumerate(texts)
    )
    found = BOOK.findings(Copies(templates, tuple(known(text) for text in texts)))
    return [(finding.severity, finding.evidence) for finding in found]


def test_copies_that_are_alike() -> None:
    assert judged(CHATML, CHATML + "\n") == []
    assert judged(CHATML, CHATML + "Hello.", names=("default", "rag")) == []


def test_copies_that_render_differently() -> None:
    ((severity, evidence),) = judged(CHATML, CHATML + "{{ 'Agree.' }}")
    assert severity == "medium"
    assert "Agree." in evidence
    assert "conversations differ" in evidence


def test_copies_that_are_only_written_differently() -> None:
    assert [severity for severity, _ in judged(CHATML, CHATML.replace("messages -%}", "messages   -%}"))] == [
        "info"
    ]


def test_a_copy_that_does_not_parse() -> None:
    ((severity, evidence),) = judged("{% if %}", "{% for %}")
    assert severity == "medium"
    assert "-{% if %}" in evidence


def test_differences_are_short_and_to_the_point() -> None:
    one, other = known(CHATML), known(CHATML.replace("<|im_end|>", "<|end|>"))
    assert "<|im_end|>" in rendered_difference(one, other)
    assert rendered_difference(one, one) == ""
    assert text_difference("a\nb\nc", "a\nx\nc") == "-b | +x"
    assert text_difference("a ", "a") != ""
    assert len(text_difference("a\n" * 9000, "b\n" * 9000)) < 3000
