import math
import os
import subprocess
import sys

import pytest
from processor_time import slowness
from template_kit import CHATML, GO, known

from qaudit.static.model_parts import TemplateText
from qaudit.static.templates import analyst
from qaudit.static.templates.analyst import Analyst, analysed

# as the analyst, but for what it does with its question
SPIN = (
    "import sys; sys.path += {path!r}; from qaudit.static.templates import analyst_main;"
    "analyst_main.serve = lambda *_: [0 for _ in iter(int, 1)]; analyst_main.main()"
)


def template(text: str, dialect: str = "jinja") -> TemplateText:
    return TemplateText("x", "default", text, "go" if dialect == "go" else "jinja")


def test_facts_come_in_the_order_of_the_templates() -> None:
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    facts = analysed([template(CHATML), template("{% if %}"), template(GO, "go")], tokens)
    assert facts[0] == known(CHATML)
    assert facts[1].error
    assert facts[2] == known(GO, "go")


def test_a_template_that_kills_the_analyst_is_told_and_the_others_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(analyst, "CPU_S", math.ceil(slowness()))
    # one multiplication of numbers of millions of digits, which no timer interrupts
    squared = "{% for i in range(40) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}"
    hang = CHATML + "{% set ns = namespace(n=99999) %}" + squared
    facts = analysed([template(CHATML), template(hang), template(CHATML)], {})
    assert facts[0].skeletons
    assert facts[2].skeletons
    assert {note.kind for note in facts[1].notes} & {"cost", "huge-output"}


def test_the_analyst_dies_of_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyst, "BOOT", "import sys; sys.stdin.readline(); {path!r}\nwhile True: pass")
    monkeypatch.setattr(analyst, "WALL_S", 0.5)
    monkeypatch.setattr(analyst, "MOST_DEATHS", 2)
    facts = analysed([template(CHATML), template(CHATML), template(CHATML)], {})
    assert [bool(each.of_kind("cost")) for each in facts] == [True, True, False]
    assert facts[2].error.startswith("not looked at")


@pytest.mark.parametrize("said", ["nonsense", "{{}}", "[1]", "x" * 100])
def test_an_analyst_that_says_something_else_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(analyst, "BOOT", f"print({said!r})  # {{path!r}}")
    (facts,) = analysed([template(CHATML)], {})
    assert facts.error


def test_one_that_waits_is_asked_once_and_limited_by_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    with Analyst() as waiting:
        child = waiting._child
        assert child is not None
        assert analysed([template(CHATML)], {}, waiting=waiting)[0].skeletons
        assert child.returncode is not None
        # a second question is for another process
        assert waiting.take() is None
        assert analysed([template(CHATML)], {}, waiting=waiting)[0].skeletons
    # the one that waits was started for more templates than it is then asked about
    monkeypatch.setattr(analyst, "BOOT", SPIN)
    monkeypatch.setattr(analyst, "CPU_S", 0)
    with Analyst() as waiting:
        child = waiting._child
        assert child is not None
        before = os.times().children_user
        (facts,) = analysed([template(CHATML)], {}, waiting=waiting)
        assert os.times().children_user - before < 5
    assert facts.error == "ended the process that looked at it"
    assert child.returncode < 0


def test_one_that_nobody_asks_does_not_stay() -> None:
    with Analyst() as waiting:
        child = waiting._child
        assert child is not None
        assert child.poll() is None
    assert child.returncode is not None


def test_one_that_hears_nothing_ends_by_itself() -> None:
    with Analyst() as waiting:
        child = waiting.take()
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        assert child.wait(30) == 0
        child.stdout.close()


def test_nothing_heavy_is_imported_by_the_analyst() -> None:
    script = "import sys; import qaudit.static.templates.analyst_main; print(sorted(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    for heavy in ("numpy", "pydantic", "qaudit.engines", "rich", "typer"):
        assert f"'{heavy}'" not in modules


def test_no_more_templates_than_anybody_has() -> None:
    facts = analysed([template("x")] * (analyst.MOST_TEMPLATES + 1), {})
    assert len(facts) == analyst.MOST_TEMPLATES + 1
    assert "not looked at" in facts[-1].error
