import pytest

from qaudit.static.templates.abstract_values import ANY_ROLE, NOTHING, Guard, Value, either, literal, ref
from qaudit.static.templates.conversation_parts import ROLE_NAMES, part_of, source

USER = frozenset({"user"})


@pytest.mark.parametrize(
    ("name", "part"),
    [("messages", "messages"), ("functions", "tools"), ("strftime_now", "clock"), ("today", "date"), ("flag", "option")],
)  # fmt: skip
def test_variables_that_engines_give_are_known_by_name(name: str, part: str) -> None:
    assert source(name).refs == {part}


def test_ollama_names_one_message_each() -> None:
    assert [source(name).roles for name in ("system", "prompt", "response")] == [
        {"system"}, {"user"}, {"assistant"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("within", "key", "part"),
    [
        ("messages", 0, "message"), ("message", "role", "role"), ("message", "content", "content"),
        ("message", "tool_calls", "calls"), ("message", "name", "schema"), ("content", "type", "type"),
        ("content", "text", "content"), ("tools", "name", "tool-name"), ("tool", "function", "tool"),
        ("calls", "name", "tool-name"), ("calls", "arguments", "content"), ("loop", "previtem", "message"),
        ("loop", "length", "count"), ("loop", "last", "form"), ("loop", "index0", "position"), ("date", "x", "date"),
    ],
)  # fmt: skip
def test_what_lies_in_a_part(within: str, key: object, part: str) -> None:
    assert part_of(ref(within), literal(key, 1), ANY_ROLE).refs == {part}


def test_content_is_of_the_message_that_is_looked_at_but_reasoning_is_the_models() -> None:
    assert part_of(ref("message"), literal("content", 1), USER).roles == USER
    assert part_of(ref("message"), literal("reasoning_content", 1), USER).roles == {"assistant"}
    # a key that is not known may be that of the content
    assert part_of(ref("message"), ref("option"), USER).refs == {"content"}


def test_a_text_that_is_looked_up_by_content_depends_on_it() -> None:
    table = either(NOTHING, literal("sentence", 3))
    found = part_of(table, ref("content", roles=USER), ANY_ROLE)
    assert [text.text for text in found.texts] == ["sentence"]
    assert {guard.kind for guard in found.texts[0].guards} == {"lookup"}
    # what holds for the key holds for what it takes
    guarded = Value(guards=frozenset({Guard("date", frozenset())}))
    assert {guard.kind for guard in part_of(table, guarded, ANY_ROLE).texts[0].guards} == {"date"}


def test_roles_under_other_names_are_the_known_ones() -> None:
    assert set(ROLE_NAMES.values()) <= ANY_ROLE
    assert not set(ROLE_NAMES) & ANY_ROLE
