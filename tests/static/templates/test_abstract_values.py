from qaudit.static.templates.abstract_values import (
    MOST_GUARDS,
    MOST_TEXTS,
    NOTHING,
    Guard,
    Text,
    Value,
    depending,
    either,
    literal,
    ref,
)

GUARD = Guard("content", frozenset({"user"}), frozenset({"deploy"}))


def test_literals_know_what_they_are_compared_as() -> None:
    assert literal("a", 3).texts == (Text("a", 3),)
    assert literal(400, 1).constants == {"400"}
    assert literal(1, 1).constants == literal(0, 1).constants == frozenset()
    assert literal(["a", "b"], 1).constants == {"a", "b"}
    assert literal(True, 1).constant is True


def test_either_keeps_everything_that_may_be() -> None:
    both = either(literal("a", 1), ref("content", roles=frozenset({"user"})), depending([GUARD]))
    assert both.texts == (Text("a", 1),)
    assert both.refs == {"content"}
    assert both.roles == {"user"}
    assert both.guards == {GUARD}
    assert either() == NOTHING
    assert either(literal("a", 1), literal("a", 1)).constant == "a"


def test_guards_go_to_the_texts() -> None:
    assert literal("a", 1).guarded([GUARD]).texts[0].guards == {GUARD}
    assert literal("a", 1).guarded([]) == literal("a", 1)


def test_everything_is_bounded() -> None:
    many = either(*(literal(f"text {i}", i) for i in range(MOST_TEXTS * 3)))
    assert len(many.texts) == MOST_TEXTS
    guards = [Guard("length", constants=frozenset({str(i)})) for i in range(50)]
    assert len(Value().guarded(guards).guards) == MOST_GUARDS


def test_guards_are_told_in_words() -> None:
    assert GUARD.told() == "content of user against 'deploy'"
    assert Guard("date").told() == "date"


def test_changes_are_noted_where_there_is_content() -> None:
    content = ref("content", roles=frozenset({"user"}))
    assert [(edit.how, edit.roles) for edit in content.edited("slice", ("3",), 1).edits] == [
        ("slice", frozenset({"user"}))
    ]
    assert literal("a", 1).edited("slice", (), 1).edits == ()
    twice = content.edited("upper", (), 1).edited("upper", (), 1)
    assert len(twice.edits) == 1
