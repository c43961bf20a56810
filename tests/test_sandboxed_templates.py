import pytest

from qaudit.sandboxed_templates import (
    FIXED_DATE,
    MAX_TEMPLATE_CHARACTERS,
    TemplateProblem,
    chat_environment,
    compiled_template,
    rendered_text,
)

DATED = (
    "{{- bos_token }}{%- if strftime_now is defined %}{%- set today = strftime_now('%d %b %Y') %}{%- endif %}"
    "{{- 'Today: ' + today + '\n' }}{%- for m in messages %}{%- if loop.index0 > 9 %}{%- break %}{%- endif %}"
    "{{- m.content | trim }}{%- endfor %}"
)
PICKY = "{% if messages[0]['role'] == 'user' %}{{ raise_exception('system role wanted') }}{% endif %}"
HELLO = {"messages": [{"role": "user", "content": " x "}], "bos_token": "<s>"}


def rendered(template: str, **variables: object) -> str:
    return rendered_text(compiled_template(template, chat_environment()), {**HELLO, **variables})


def test_date_is_fixed_and_special_tokens_are_there() -> None:
    assert rendered(DATED) == f"<s>Today: {FIXED_DATE}\nx"


def test_the_date_can_be_another() -> None:
    compiled = compiled_template("{{ strftime_now('%Y') }}", chat_environment(lambda form: f"<{form}>"))
    assert rendered_text(compiled, {}) == "<%Y>"


def test_tojson_is_plain() -> None:
    messages = [{"role": "user", "content": "a<b'"}]
    assert rendered("{{ messages | tojson }}", messages=messages) == '[{"role": "user", "content": "a<b\'"}]'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (PICKY, "system role wanted"),
        ("{% for %}", "does not parse"),
        ("{{" + "(" * 4000, "does not parse"),
        ("{{ ''.__class__.__mro__ }}", "fails"),
        ("{{ cycler.__init__.__globals__ }}", "fails"),
        ("{{ messages.append(1) }}", "fails"),
        ("{{ messages[0].content.nothing.more }}", "fails"),
        ("{{ 1 / 0 }}", "fails"),
        ("{% for i in range(99999999999) %}{% endfor %}", "fails"),
        ("{% for i in range(60000) %}{% for j in range(9) %}long{% endfor %}{% endfor %}", "more than 1 MiB"),
        ("x" * (MAX_TEMPLATE_CHARACTERS + 1), "longer than 1 MiB"),
    ],
)  # fmt: skip
def test_what_cannot_be_rendered_is_told_in_one_line(template: str, message: str) -> None:
    with pytest.raises(TemplateProblem) as problem:
        rendered(template)
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


def test_the_mark_for_training_writes_what_is_in_it() -> None:
    assert (
        rendered("{% for m in messages %}{% generation %}<{{ m.content }}>{% endgeneration %}{% endfor %}")
        == "< x >"
    )
