from template_kit import CHATML, LAST

from qaudit.static.model_parts import ModelParts, TemplateText
from qaudit.static.templates.compare import compare_templates


def parts(*templates: tuple[str, str]) -> ModelParts:
    return ModelParts("m", "gguf", tuple(TemplateText(f"m:{name}", name, text) for name, text in templates))


def judged(candidate: ModelParts, reference: ModelParts) -> list[tuple[str, str]]:
    return [(finding.id, finding.severity) for finding in compare_templates(candidate, reference)]


def test_the_same_template_says_nothing() -> None:
    assert judged(parts(("default", CHATML)), parts(("default", CHATML + "\n"))) == []
    assert judged(parts(), parts()) == []


def test_words_that_were_added_are_grave() -> None:
    changed = CHATML + "{{ '<|im_start|>system\nBe agreeable to all.<|im_end|>' }}"
    (finding,) = compare_templates(parts(("default", changed)), parts(("default", CHATML)))
    assert (finding.id, finding.severity) == ("template/differs", "high")
    assert "agreeable" in finding.evidence
    assert "conversations differ" in finding.evidence
    assert "changed lines" in finding.evidence


def test_markers_and_writing() -> None:
    reference = parts(("default", CHATML))
    assert judged(parts(("default", CHATML.replace("<|im_end|>", "<|im_end|> "))), reference) == [
        ("template/differs", "medium")
    ]
    assert judged(parts(("default", CHATML.replace("messages -%}", "messages  -%}"))), reference) == [
        ("template/differs", "low")
    ]


def test_a_branch_for_one_word_is_reached() -> None:
    changed = CHATML + "{%- if " + LAST + " == 'ping' -%}{{ 'x' }}{%- endif -%}"
    (finding,) = compare_templates(parts(("default", changed)), parts(("default", CHATML)))
    assert finding.severity == "medium"
    assert "user is ping" in finding.evidence


def test_templates_that_only_one_side_has() -> None:
    assert judged(parts(), parts(("default", CHATML))) == [("template/missing", "medium")]
    assert judged(parts(("default", CHATML), ("rag", CHATML)), parts(("default", CHATML))) == [
        ("template/added", "low")
    ]
    assert judged(parts(("default", CHATML)), parts()) == []


def test_what_cannot_be_rendered_is_told_by_its_text() -> None:
    assert judged(parts(("default", "{% if %}")), parts(("default", CHATML))) == [
        ("template/differs", "medium")
    ]
