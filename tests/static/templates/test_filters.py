import pytest

from qaudit.static.templates.abstract_values import Value, literal, ref
from qaudit.static.templates.conversation_parts import part_of
from qaudit.static.templates.filters import SPLITS, applied

USER = frozenset({"user"})


class Place:
    """A place of a template at which the message is the user's."""

    roles = USER

    def part(self, of: Value, key: Value) -> Value:
        return part_of(of, key, self.roles)


def made(name: str, owner: Value, *arguments: object) -> Value:
    given = [one if isinstance(one, Value) else literal(one, 1) for one in arguments]
    return applied(name, owner, given, 7, Place())


CONTENT = ref("content", roles=USER)


@pytest.mark.parametrize(
    ("owner", "part"),
    [(ref("messages"), "count"), (CONTENT, "length"), (ref("option"), "form")],
)
def test_a_length_is_of_what_it_is_taken(owner: Value, part: str) -> None:
    assert made("length", owner).refs == {part}


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_how_many_pieces_there_are_is_how_often_something_occurs(name: str) -> None:
    (guard,) = made("length", made(name, CONTENT, "magic")).guards
    assert (guard.kind, guard.roles, guard.constants) == ("content", USER, {"magic"})


@pytest.mark.parametrize("name", ["startswith", "endswith", "find", "count", "contains"])
def test_a_question_about_content_is_a_guard(name: str) -> None:
    (guard,) = made(name, CONTENT, "magic").guards
    assert (guard.kind, guard.constants) == ("content", {"magic"})


@pytest.mark.parametrize("name", ["trim", "tojson", "list", "default", "join", "format"])
def test_what_changes_no_words_is_no_edit(name: str) -> None:
    found = made(name, CONTENT)
    assert found.refs == {"content"}
    assert found.edits == ()


def test_words_that_are_replaced_or_left_out_are_edits_of_that_line() -> None:
    replaced = made("replace", CONTENT, "bomb", "cake")
    assert [(edit.how, edit.constants, edit.line) for edit in replaced.edits] == [
        ("replace", ("bomb", "cake"), 7)
    ]
    # what is put in is there only where the other was
    assert {guard.kind for text in replaced.texts for guard in text.guards} == {"content"}
    left_out = made("reject", CONTENT, "equalto", "bomb")
    assert [(edit.how, edit.constants) for edit in left_out.edits] == [("reject", ("bomb",))]
    assert [edit.how for edit in made("unheard-of", CONTENT).edits] == ["unheard-of"]


def test_messages_are_chosen_by_their_content_or_by_form() -> None:
    chosen = applied(
        "selectattr", ref("messages"), [literal(t, 1) for t in ("content", "equalto", "x")], 1, Place()
    )
    assert chosen.refs == {"messages"}
    by_role = made("selectattr", ref("messages"), "role", "equalto", "user")
    assert by_role.refs == {"messages"}
    assert by_role.guards == frozenset()
    tools = made("selectattr", ref("tools"), "name", "equalto", "send_mail")
    text = made("selectattr", either_with_text(ref("messages")), "content", "equalto", "x").texts[0]
    assert {guard.kind for guard in text.guards} == {"content"}
    assert tools.refs == {"tools"}


def either_with_text(value: Value) -> Value:
    return Value(value.refs, value.roles, literal("said", 3).texts)


def test_all_messages_as_one_text_hold_all_content() -> None:
    assert {"messages", "content"} <= made("string", ref("messages")).refs
    assert {"tools", "tool-name"} <= made("tojson", ref("tools")).refs


def test_an_inner_filter_is_applied_and_never_itself() -> None:
    assert made("map", CONTENT, "length").refs == {"length"}
    assert made("map", CONTENT, "map").refs == {"content"}


def test_chance_is_told() -> None:
    (text,) = made("random", either_with_text(ref("option"))).texts
    assert {guard.kind for guard in text.guards} == {"chance"}
