import pytest

from qaudit.engines.protocol import Conversation, Rendered
from qaudit.engines.templates import messages_of, render_conversations
from qaudit.sandboxed_templates import MAX_TEMPLATE_CHARACTERS

CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PICKY = "{% if messages[0]['role'] == 'user' %}{{ raise_exception('system role wanted') }}{% endif %}"


def one(template: str, *turns: str) -> Rendered:
    return render_conversations(template, [Conversation("a", turns or ("hello",))], {"bos_token": "<s>"})[0]


def test_chatml_ends_with_the_generation_prompt() -> None:
    rendered = one(CHATML, "hi")
    assert rendered.text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert rendered.error is None


def test_several_turns_get_an_assistant_turn_between() -> None:
    assert [m["role"] for m in messages_of(("a", "b"))] == ["user", "assistant", "user"]
    assert one(CHATML, "a", "b").text.count("<|im_start|>assistant") == 2


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (PICKY, "system role wanted"),
        ("{% for %}", "does not parse"),
        ("{{ messages[0].content.nothing.more }}", "fails"),
        ("{% for i in range(60000) %}{% for j in range(9) %}long{% endfor %}{% endfor %}", "more than 1 MiB"),
        ("x" * (MAX_TEMPLATE_CHARACTERS + 1), "longer than 1 MiB"),
    ],
)
def test_what_cannot_be_rendered_is_an_error_value(template: str, message: str) -> None:
    rendered = one(template)
    assert rendered.text == ""
    assert message in (rendered.error or "")


def test_one_bad_conversation_does_not_spoil_the_others() -> None:
    template = "{% if messages[0].content == 'bad' %}{{ raise_exception('no') }}{% endif %}ok"
    rendered = render_conversations(template, [Conversation("1", ("bad",)), Conversation("2", ("good",))], {})
    assert [r.error is None for r in rendered] == [False, True]
