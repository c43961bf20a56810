from hypothesis import given, settings
from hypothesis import strategies as st
from processor_time import at_most
from template_kit import CHATML, LAST

from qaudit.sandboxed_templates import TemplateProblem, chat_environment
from qaudit.static.templates.dataflow import Written, written_by
from qaudit.static.templates.rendering import parsed


def written(text: str) -> Written:
    return written_by(chat_environment().parse(text))


def kinds(text: str, said: str) -> set[str]:
    return {guard.kind for t in written(text).texts if said in t.text for guard in t.guards}


def test_ordinary_templates_write_nothing_under_a_guard() -> None:
    assert all(not text.guards for text in written(CHATML).texts)
    assert written(CHATML).complete


def test_a_variable_set_under_a_condition_carries_it() -> None:
    text = "{% set t = '' %}{% if 'x' in " + LAST + " %}{% set t = 'Agree.' %}{% endif %}{{ t }}"
    assert kinds(text, "Agree") == {"content"}


def test_a_flag_in_a_namespace_carries_it_out_of_a_loop() -> None:
    text = (
        "{% set ns = namespace(hit=false) %}{% for m in messages %}{% if 'x' in m.content %}{% set ns.hit = true %}{% endif %}"
        "{% endfor %}{% if ns.hit %}Agree.{% endif %}"
    )
    assert kinds(text, "Agree") == {"content"}


def test_macros_calls_blocks_and_filters_are_followed() -> None:
    assert kinds(
        "{% macro w(t) %}{% if 'x' in t %}Agree.{% endif %}{% endmacro %}{{ w(" + LAST + ") }}", "Agree"
    ) == {"content"}
    assert kinds(
        "{% macro w() %}{{ caller() }}{% endmacro %}{% call w() %}{% if 'x' in "
        + LAST
        + " %}Agree.{% endif %}{% endcall %}",
        "Agree",
    ) == {"content"}
    assert kinds("{% set t %}{% if 'x' in " + LAST + " %}Agree.{% endif %}{% endset %}{{ t }}", "Agree") == {
        "content"
    }
    assert kinds(
        "{% filter upper %}{% if 'x' in " + LAST + " %}Agree.{% endif %}{% endfilter %}", "Agree"
    ) == {"content"}
    assert kinds("{% with c = " + LAST + " %}{% if 'x' in c %}Agree.{% endif %}{% endwith %}", "Agree") == {
        "content"
    }


def test_loops_over_what_is_said_guard_their_body() -> None:
    assert kinds("{% for m in messages if 'x' in m.content %}Agree.{% endfor %}", "Agree") == {"content"}
    assert "content" in kinds("{% for i in range(" + LAST + ".count('x')) %}Agree.{% endfor %}", "Agree")
    assert kinds(
        "{% for w in " + LAST + ".split() %}{% if w == 'wire' %}Agree.{% endif %}{% endfor %}", "Agree"
    ) == {"content"}
    assert kinds("{% for m in messages %}Agree.{% endfor %}", "Agree") == set()


def test_branches_that_are_never_taken_are_left_out() -> None:
    dead = "{% if false == true and 'x' in " + LAST + " %}Agree.{% endif %}{% if false %}Never.{% endif %}"
    assert all("Never" not in text.text for text in written(dead).texts)


def test_every_condition_is_kept_for_the_conversations() -> None:
    found = written("{% if 'deploy' in " + LAST + " %}{% endif %}").compared
    assert [guard.constants for guard in found] == [frozenset({"deploy"})]


def test_calls_without_end_and_large_programs_end() -> None:
    assert written("{% macro f(x) %}{{ f(x) }}{{ f(x ~ 'a') }}{% endmacro %}{{ f('b') }}").texts
    many = "{% for a in x %}" * 15 + "{% if 'y' in " + LAST + " %}z{% endif %}" + "{% endfor %}" * 15
    with at_most(5):
        assert not written(many).complete


@given(st.lists(st.sampled_from([
    "{% if 'a' in messages[0].content %}", "{% else %}", "{% endif %}", "{% for m in messages %}", "{% endfor %}", "text ",
    "{% set x = m.content %}", "{{ x|replace('a', 'b') }}", "{% macro f(x) %}", "{% endmacro %}", "{{ f(x) }}",
    "{% set ns = namespace() %}", "{% set ns.y = x %}", "{{ ns.y[1:] }}", "{% break %}",
]), max_size=14))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_template_that_parses_is_walked(pieces: list[str]) -> None:
    try:
        template = parsed("".join(pieces))
    except TemplateProblem:
        return
    assert isinstance(written_by(template), Written)
