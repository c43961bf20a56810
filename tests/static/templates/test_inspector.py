import subprocess

import pytest
from attacks.benign_templates import TEMPLATES
from processor_time import at_most
from template_kit import CHATML, GO

from qaudit.static.inspecting import status_of
from qaudit.static.model_parts import TemplateText, VocabularyView
from qaudit.static.templates import inspector
from qaudit.static.templates.facts import TemplateFacts
from qaudit.static.templates.inspector import inspect_templates


def template(text: str, location: str = "t.jinja") -> TemplateText:
    return TemplateText(location, "default", text)


def test_a_clean_template() -> None:
    examined = inspect_templates([template(CHATML)], {"bos_token": "<s>"})
    assert examined.findings == []
    assert [(s.path, s.kind, s.state) for s in examined.surfaces] == [("t.jinja", "template", "examined")]


def test_no_templates_take_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    assert inspect_templates([], {}).surfaces == []


def test_all_kinds_of_rules_speak() -> None:
    view = VocabularyView("v", "gpt2", ("a",))
    templates = [
        template("{{ lipsum.__globals__ }}\u200b", "a"), template(CHATML, "b"), TemplateText("Modelfile:TEMPLATE", "default", GO, "go"),
    ]  # fmt: skip
    ids = {finding.id for finding in inspect_templates(templates, {}, view).findings}
    assert {
        "template/sandbox-escape",
        "template/hidden-characters",
        "template/disagree",
        "template/unknown-marker",
    } <= ids


def test_what_is_not_seen_is_told() -> None:
    examined = inspect_templates([template("{% if %}"), template("{{ 'a' * 999999999 }}" + CHATML)], {})
    assert [(s.state, bool(s.why)) for s in examined.surfaces] == [("partial", True), ("partial", True)]


def test_templates_of_one_file_are_quick() -> None:
    with at_most(5):
        inspect_templates([template(text, name) for name, (text, _) in TEMPLATES.items()], {})


def test_a_template_that_only_ran_out_of_time_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> list[TemplateFacts]:
        return [
            TemplateFacts(limits=["rendered with few conversations, which took 4 s"]),
            TemplateFacts("not looked at"),
        ]

    monkeypatch.setattr(inspector, "analysed", asked)
    templates = [TemplateText(name, "default", CHATML) for name in ("a", "b")]
    examined = inspect_templates(templates, {})
    assert all(surface.is_open for surface in examined.surfaces)
    assert status_of(examined.findings, examined.surfaces, "high") == "inconclusive"
