import pytest

from qaudit.engines import templates
from qaudit.engines.protocol import Conversation
from qaudit.engines.templates import messages_of, render_conversations

CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DATED = (
    "{{- bos_token }}{%- if strftime_now is defined %}{%- set today = strftime_now('%d %b %Y') %}{%- endif %}"
    "{{- 'Today: ' + today + '\n' }}{%- for m in messages %}{%- if loop.index0 > 9 %}{%- break %}{%- endif %}"
    "{{- m.content | trim }}{%- endfor %}"
)
PICKY = "{% if messages[0]['role'] == 'user' %}{{ raise_exception('system role wanted') }}{% endif %}"


def one(template: str, *turns: str) -> templates.Rendered:
    return render_conversations(template, [Conversation("a", turns or ("hello",))], {"bos_token": "<s>"})[0]


def test_chatml_ends_with_the_generation_prompt() -> None:
    rendered = one(CHATML, "hi")
    assert rendered.text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert rendered.error is None


def test_several_turns_get_an_assistant_turn_between() -> None:
    assert [m["role"] for m in messages_of(("a", "b"))] == ["user", "assistant", "user"]
    assert one(CHATML, "a", "b").text.count("<|im_start|>assistant") == 2


def test_date_is_fixed_and_special_tokens_are_there() -> None:
    assert one(DATED, " x ").text == f"<s>Today: {templates.FIXED_DATE}\nx"


def test_tojson_is_plain() -> None:
    assert one("{{ messages | tojson }}", "a<b'").text == '[{"role": "user", "content": "a<b\'"}]'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (PICKY, "system role wanted"),
        ("{% for %}", "does not parse"),
        ("{{ ''.__class__.__mro__ }}", "fails"),
        ("{{ cycler.__init__.__globals__ }}", "fails"),
        ("{{ messages.append(1) }}", "fails"),
        ("{{ messages[0].content.nothing.more }}", "fails"),
        ("{{ 1 / 0 }}", "fails"),
        ("{% for i in range(99999999999) %}{% endfor %}", "fails"),
        ("{% for i in range(60000) %}{% for j in range(9) %}long{% endfor %}{% endfor %}", "more than 1 MiB"),
        ("x" * (templates.MAX_TEMPLATE_CHARACTERS + 1), "longer than 1 MiB"),
    ],
)  # fmt: skip
def test_what_cannot_be_rendered_is_an_error_value(template: str, message: str) -> None:
    rendered = one(template)
    assert rendered.text == ""
    assert message in (rendered.error or "")
    assert "\n" not in (rendered.error or "")


def test_one_bad_conversation_does_not_spoil_the_others() -> None:
    template = "{% if messages[0].content == 'bad' %}{{ raise_exception('no') }}{% endif %}ok"
    rendered = render_conversations(template, [Conversation("1", ("bad",)), Conversation("2", ("good",))], {})
    assert [r.error is None for r in rendered] == [False, True]
