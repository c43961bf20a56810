import math
import os
import subprocess
import sys

import pytest
from processor_time import slowness
from template_kit import CHATML, GO, known

from qaudit.sandboxed_templates import MAX_TEMPLATE_CHARACTERS
from qaudit.static.model_parts import TemplateText
from qaudit.static.templates import analyst
from qaudit.static.templates.analyst import Analyst, analysed
from qaudit.static.templates.facts import LONGEST

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
    # a number of hundreds of millions of digits, which no timer interrupts
    hang = CHATML + "{% set ns = namespace(n=5) %}{{ ns.n | round(-400000000) }}"
    monkeypatch.setattr(analyst, "OUT_OF_PROPORTION_S", 0.5)
    facts = analysed([template(CHATML), template(hang), template(CHATML)], {})
    assert facts[0].skeletons
    assert facts[2].skeletons
    assert {note.kind for note in facts[1].notes} & {"cost", "huge-output"}


def dying(monkeypatch: pytest.MonkeyPatch, death: str, before: str = "") -> None:
    """Have the analyst end in a way where it meets the word `deadly` (and in another before it begins)."""
    monkeypatch.setattr(
        analyst,
        "BOOT",
        "import os, resource, signal, sys, time; sys.path += {path!r}\n"
        "from qaudit.static.templates import analyst_main as m\n"
        f"facts_of = m.facts_of\n{before}\n"
        "def end(text, *rest):\n"
        f"    if 'deadly' in text: {death}\n"
        "    return facts_of(text, *rest)\n"
        "m.facts_of = end; m.main()",
    )


@pytest.mark.parametrize(
    ("death", "kind"),
    [
        ("os._exit(77)", "huge-output"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "recursion"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "cost"),
        ("os.kill(os.getpid(), signal.SIGKILL)", ""),
        ("os._exit(1)", ""),
        ("print('x' * 99, flush=True)", ""),
    ],
)
def test_the_one_that_it_died_of_is_blamed(monkeypatch: pytest.MonkeyPatch, death: str, kind: str) -> None:
    dying(monkeypatch, death)
    monkeypatch.setattr(analyst, "OUT_OF_PROPORTION_S", 0.0)
    with Analyst() as waiting:
        texts = (CHATML, CHATML + "deadly", CHATML)
        facts = analysed([template(text) for text in texts], {}, waiting=waiting)
    assert facts[0] == facts[2] == known(CHATML)
    assert facts[1].error
    assert [note.kind for note in facts[1].notes] == ([kind] if kind else [])


def test_one_that_only_dies_after_others_is_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # memory that one template does not give back is missing for the next
    dying(monkeypatch, "(os._exit(77) if seen else 0)", "seen = []; was = m.allowance\n"
          "m.allowance = lambda text: (seen.append(1), was(text))[1]")  # fmt: skip
    facts = analysed([template(CHATML), template(CHATML + "deadly"), template(CHATML)], {})
    assert facts == [known(CHATML), known(CHATML + "deadly"), known(CHATML)]


def test_one_that_dies_in_the_conditions_of_all_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    dying(monkeypatch, "pass", "was = m.conditions_of\n"
          "m.conditions_of = lambda text, how: os._exit(77) if 'deadly' in text else was(text, how)")  # fmt: skip
    texts = (CHATML, CHATML, CHATML + "deadly", CHATML)
    facts = analysed([template(text) for text in texts], {}, together=True)
    assert [bool(each.skeletons) for each in facts] == [True, True, False, True]
    assert [bool(each.of_kind("huge-output")) for each in facts] == [False, False, True, False]


def test_an_early_process_that_dies_before_it_begins_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = analyst.BOOT
    monkeypatch.setattr(analyst, "BOOT", "{path!r}; raise MemoryError")
    with Analyst() as waiting:
        monkeypatch.setattr(analyst, "BOOT", boot)
        facts = analysed([template(CHATML), template(CHATML)], {}, waiting=waiting)
    assert facts == [known(CHATML)] * 2


def test_when_none_begins_nobody_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyst, "BOOT", "{path!r}; raise MemoryError")
    monkeypatch.setattr(analyst, "MOST_DEATHS", 3)
    facts = analysed([template(CHATML)] * 4, {})
    assert not any(each.notes for each in facts)
    assert all(each.error.startswith("not looked at") for each in facts)


def test_one_that_never_reads_a_long_question_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyst, "BOOT", "import time; time.sleep(600)  # {path!r}")
    monkeypatch.setattr(analyst, "WALL_S", 0.2)
    (facts,) = analysed([template("x" * LONGEST)], {})
    assert facts.notes == []
    assert facts.error.startswith("not looked at")


def test_waiting_too_long_is_no_fault_of_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    dying(monkeypatch, "time.sleep(60)")
    monkeypatch.setattr(analyst, "WALL_S", 3.0)
    (facts,) = analysed([template("deadly")], {})
    assert (facts.notes, facts.error) == (
        [],
        "not looked at: the process that reads it gave no answer in 3 s",
    )


def test_what_ends_the_process_on_a_slow_machine_is_not_known_to_be_costly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dying(monkeypatch, "os.kill(os.getpid(), signal.SIGXCPU)")
    monkeypatch.setattr(analyst, "slowness", lambda: 10.0)
    (facts,) = analysed([template("deadly")], {})
    assert facts.notes == []
    assert "10.0 times slower" in facts.error


def test_long_ones_do_not_take_the_others_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyst, "MOST_CHARACTERS", 1000)
    texts = [*["\N{GRINNING FACE}" * (2 << 20)] * 8, CHATML, CHATML + "x" * 999, CHATML, CHATML]
    facts = analysed([template(text) for text in texts], {"bos_token": "x" * (64 << 20)})
    assert [bool(each.of_kind("too-long")) for each in facts] == [True] * 8 + [False] * 4
    assert all(each.skeletons for each in facts[8:])
    assert not any(each.notes for each in facts[8:9] + facts[10:])


def test_the_longest_is_what_engines_take() -> None:
    assert LONGEST == MAX_TEMPLATE_CHARACTERS


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
    # it never said that it began with the template
    assert facts.error.startswith("not looked at")
    assert facts.notes == []
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
