import pytest
from jinja2 import nodes

from qaudit.sandboxed_templates import chat_environment
from qaudit.static.templates.abstract_values import ANY_ROLE, Value, ref
from qaudit.static.templates.expressions import Expressions, OutOfSteps


def tree(expression: str) -> nodes.Node:
    (output,) = chat_environment().parse("{{ " + expression + " }}").body
    assert isinstance(output, nodes.Output)
    return output.nodes[0]


def value(expression: str) -> Value:
    expressions = Expressions()
    expressions.variables |= {
        "message": ref("message"),
        "tool": ref("tool"),
        "loop": ref("loop"),
        "call": ref("calls"),
    }
    return expressions.value(tree(expression))


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("messages", "messages"), ("messages[1:]", "messages"), ("messages[0]", "message"), ("message.role", "role"),
        ("message['content']", "content"), ("message.get('content')", "content"), ("message.content|trim", "content"),
        ("messages|map(attribute='content')|join", "content"), ("messages|length", "count"),
        ("message.content|length", "length"), ("loop.length", "count"), ("loop.index0", "position"), ("loop.first", "form"),
        ("strftime_now('%Y')|int", "date"), ("tool.function.name", "tool-name"), ("call.function.name", "tool-name"),
        ("tool.function.parameters.properties.x", "schema"), ("message.content[0].type", "type"), ("enable_thinking", "option"),
    ],
)  # fmt: skip
def test_parts_of_a_conversation_are_followed(expression: str, part: str) -> None:
    assert part in value(expression).refs


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("'deploy' in message.content", "content"), ("message.content == 'ping'", "content"),
        ("message.content|lower|trim == 'ping'", "content"), ("message.content.startswith('hey')", "content"),
        ("message.content.count('x') > 3", "content"), ("message.content.split('x')|length > 2", "content"),
        ("message.content is in ['a b', 'c d']", "content"), ("messages|selectattr('content', 'equalto', 'ping')|list", "content"),
        ("'x' in messages|string", "content"), ("{'a': 1}[message.content]", "content"),
        ("message.content|length > 400", "length"), ("message.content|length % 7 == 3", "length"),
        ("messages|length > 6", "count"), ("loop.index == 5", "count"), ("loop.index0 % 3 == 0", "count"),
        ("strftime_now('%Y') > '2027'", "date"), ("strftime_now('%Y')|int >= 2027", "date"),
        ("tool.function.name == 'send_mail'", "tool"), ("'send' in tool.function.name", "tool"),
        ("tools|map(attribute='name')|select('equalto', 'x')|list", "tool"), ("['a', 'b']|random", "chance"),
    ],
)  # fmt: skip
def test_conditions_on_what_is_said_are_guards(expression: str, kind: str) -> None:
    if expression.startswith("{'a'"):
        assert value("{'a': 'text'}[message.content]").texts[0].guards
        return
    guards = value(expression).guards
    assert kind in {guard.kind for guard in guards}


@pytest.mark.parametrize(
    "expression",
    [
        "message.content", "message.content is string", "message.content != ''", "message.content is not none",
        "message.content|length > 0", "message.role == 'user'", "message['role'] in ['system', 'developer']",
        "'tool_calls' in message", "messages|length > 1", "loop.index0 == messages|length - 1", "loop.index0 % 2 == 0",
        "loop.last", "tools is defined and tools", "message.content[0]['type'] == 'image'", "strftime_now is defined",
        "call.function.name in builtin_tools", "message == user_messages[-1]", "reasoning_effort == 'high'",
        "messages|selectattr('role', 'equalto', 'user')|list", "message.tool_calls|length == 1", "not date_string",
        "tool.function.parameters.type == 'object'",
    ],
)  # fmt: skip
def test_conditions_on_form_are_none(expression: str) -> None:
    assert value(expression).guards == frozenset()


def test_texts_carry_what_they_depend_on() -> None:
    (text,) = value("'Agree.' if 'vote' in message.content else ''").texts
    assert {guard.kind for guard in text.guards} == {"content"}
    assert value("('vote' in message.content) and 'Agree.'").texts[0].guards
    assert value("['', 'Agree.'][('vote' in message.content)|int]").texts[0].guards
    assert value("'Agree.' * message.content|length").texts[0].guards
    assert not value("'<|' ~ message.role ~ '|>'").texts[0].guards


def test_changes_of_content_are_kept() -> None:
    assert [edit.how for edit in value("message.content|replace('a', 'b')").edits] == ["replace"]
    assert [edit.how for edit in value("message.content[:200]").edits] == ["slice"]
    assert [edit.how for edit in value("message.content|reverse").edits] == ["reverse"]
    assert value("message.content|trim").edits == ()


@pytest.mark.parametrize(
    ("test", "yes", "no"),
    [
        ("message.role == 'user'", {"user"}, ANY_ROLE - {"user"}),
        ("message.role != 'user'", ANY_ROLE - {"user"}, {"user"}),
        ("message.role == 'model'", {"assistant"}, ANY_ROLE - {"assistant"}),
        ("message.role == 'user' or message.role == 'system'", {"user", "system"}, {"assistant", "tool"}),
        ("message.role in ['user', 'system'] and not loop.first", {"user", "system"}, ANY_ROLE),
        ("not (message.role == 'user')", ANY_ROLE - {"user"}, {"user"}),
        ("message.content", ANY_ROLE, ANY_ROLE),
    ],
)
def test_roles_are_narrowed(test: str, yes: set[str], no: set[str]) -> None:
    expressions = Expressions()
    expressions.variables["message"] = ref("message")
    assert [set(roles) for roles in expressions.narrowed(tree(test))] == [yes, no]


def test_steps_run_out() -> None:
    expressions = Expressions()
    expressions.steps_left = 3
    with pytest.raises(OutOfSteps):
        expressions.value(tree("a ~ b ~ c ~ d"))
