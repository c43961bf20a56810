import time

import pytest
from processor_time import at_most
from template_kit import CHATML, GO, GO_MESSAGES

from qaudit.sandboxed_templates import TemplateProblem
from qaudit.static.templates import rendering
from qaudit.static.templates.conversations import Talk, plain_talks, said
from qaudit.static.templates.go_syntax import parsed_go
from qaudit.static.templates.rendering import Renderer, TooCostly, allowance, limited, parsed

TALKS = {talk.name: talk for talk in plain_talks()}


def renderer(text: str) -> Renderer:
    return Renderer(parsed(text), {"bos_token": "<s>"})


def test_skeletons_have_marks_in_place_of_messages() -> None:
    rendering = renderer(CHATML).render(TALKS["system"])
    assert rendering.skeleton == (
        "<|im_start|>system\n⟦system⟧<|im_end|>\n<|im_start|>user\n⟦user⟧<|im_end|>\n<|im_start|>assistant\n"
    )
    assert rendering.missing == rendering.altered == ()


def test_pieces_know_their_line() -> None:
    rendering = renderer("one\n{{ 'two' }}\n{% for m in messages %}\n{{ m.content }}\n{% endfor %}").render(
        TALKS["question"]
    )
    assert "two" in dict((text, line) for line, text in rendering.pieces)
    assert (2, "two") in rendering.pieces
    assert any(line == 4 and "qzuser1a" in text for line, text in rendering.pieces)


def test_what_is_left_out_or_changed_is_told() -> None:
    rendering = renderer("{{ messages[0].content[:12] }}").render(TALKS["turns"])
    assert [message.role for message in rendering.altered] == ["user"]
    assert [message.role for message in rendering.missing] == ["assistant", "user"]


def test_dates_are_masked_and_can_be_set() -> None:
    assert (
        renderer("Today: {{ strftime_now('%d %b %Y') }}").render(TALKS["question"]).skeleton
        == "Today: ⟦date⟧"
    )


def test_failures_are_values_and_costs_are_errors() -> None:
    assert "no such" in renderer("{{ raise_exception('no such') }}").render(TALKS["question"]).error
    with at_most(3), pytest.raises(TooCostly):
        renderer("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}").render(
            TALKS["question"]
        )
    with pytest.raises(TooCostly, match="1 MiB"):
        renderer("{% for a in range(99999) %}{{ 'long enough text' }}{% endfor %}").render(TALKS["question"])


def _never_ends() -> None:
    while True:
        sum(range(1000))


def test_limits_are_of_processor_time() -> None:
    with pytest.raises(TooCostly, match=r"a loop takes more than 0\.05 s"), limited(0.05, "a loop"):
        _never_ends()
    with limited(0.05):
        time.sleep(0.1)


def test_all_conversations_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_IN_ALL_S", -1.0)
    with pytest.raises(TooCostly, match="all of them"):
        renderer(CHATML).render(TALKS["question"])


def test_compiling_is_bounded() -> None:
    with pytest.raises(TooCostly, match="compiling it"):
        Renderer(parsed("{% if a %}x{% endif %}" * 2000), {}, compiling_s=0.01)


def test_what_is_longer_than_any_in_use_may_take_less() -> None:
    assert allowance("x" * 40_000) == allowance("x") > allowance("x" * 100_000) > 0


def test_go_templates_are_rendered_as_ollama_does() -> None:
    by_turn = Renderer(parsed_go(GO), {}, go=True).render(TALKS["system-turns"])
    assert by_turn.skeleton == (
        "<|system|>\n⟦system⟧</s>\n<|user|>\n⟦user⟧</s>\n<|assistant|>\n⟦assistant⟧</s>\n<|user|>\n⟦user⟧</s>\n<|assistant|>\n"
    )
    at_once = Renderer(parsed_go(GO_MESSAGES), {}, go=True).render(TALKS["turns"])
    assert at_once.skeleton == (
        "<|im_start|>user\n⟦user⟧<|im_end|>\n<|im_start|>assistant\n⟦assistant⟧<|im_end|>\n<|im_start|>user\n⟦user⟧<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_other_ways_to_ask() -> None:
    parts = renderer("{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}")
    parts.in_parts = True
    assert parts.render(TALKS["question"]).skeleton == "⟦user⟧"
    tools = renderer("{% for t in tools %}{{ t.function.name }}{% endfor %}")
    tools.with_tools = True
    assert tools.render(TALKS["question"]).skeleton == "fetch_weather"


@pytest.mark.parametrize("text", ["{% if %}", "{{ ", "{% nothing %}", "{{ x|nofilter }}"])
def test_what_does_not_parse_or_compile(text: str) -> None:
    with pytest.raises(TemplateProblem):
        Renderer(parsed(text), {})


def test_a_message_that_is_a_tag_is_masked_once() -> None:
    talk = Talk("x", (said("user", 1), said("assistant", 2)))
    assert renderer(CHATML).render(talk).skeleton.count("⟦") == 2


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) if false %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        "{% for m in messages * 100 recursive %}{{ loop(messages * 100) if loop.depth < 9 }}{% endfor %}",
    ],
)
def test_rounds_are_counted_on_whatever_machine(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    # time never runs out
    monkeypatch.setattr(rendering, "MOST_PER_TALK_S", 1e6)
    with pytest.raises(TooCostly, match="more than 100000 times"):
        renderer(text).render(TALKS["question"])


def test_counting_changes_nothing_else() -> None:
    text = (
        "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}{{ ' last' if loop.last }}"
        "{% else %}none{% endfor %}{% macro f(a, b=2) %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}"
        "{% call f(1) %}!{% endcall %}{% for a in [] %}{% else %} none{% endfor %}{{ 'ab' * 2 }}{{ 3 ** 2 }}"
    )
    assert renderer(text).render(TALKS["turns"]).skeleton == "1/22/2 last12! noneabab9"


def test_huge_products_are_costly() -> None:
    with pytest.raises(TooCostly, match="a number of"):
        renderer(
            "{% set ns = namespace(n=9) %}{% for i in range(40) %}{% set ns.n = ns.n * ns.n %}{% endfor %}"
        ).render(TALKS["question"])
    with pytest.raises(TooCostly, match="MiB"):
        renderer("{{ (messages|length * 9999999 * 'a')|length }}").render(TALKS["question"])
