from qaudit.static.templates.abstract_values import NOTHING, Guard, literal, ref
from qaudit.static.templates.comparisons import compared, looked_up, measured, own_guards

CONTENT = ref("content", roles=frozenset({"user"}))


def test_content_against_a_text_is_a_condition_on_it() -> None:
    assert compared(CONTENT, literal("deploy", 1)) == [
        Guard("content", frozenset({"user"}), frozenset({"deploy"}))
    ]


def test_presence_is_no_condition_on_what_is_said() -> None:
    assert (
        compared(CONTENT, literal("", 1))
        == compared(CONTENT, literal(None, 1))
        == compared(CONTENT, NOTHING)
        == []
    )


def test_roles_and_options_are_form() -> None:
    assert compared(ref("role"), literal("user", 1)) == compared(ref("option"), literal("high", 1)) == []


def test_numbers_beyond_one_count() -> None:
    assert compared(ref("count"), literal(1, 1)) == []
    assert [guard.kind for guard in compared(ref("count"), literal(6, 1))] == ["count"]
    assert [guard.kind for guard in compared(ref("length"), literal(400, 1))] == ["length"]
    assert [guard.kind for guard in compared(ref("date"), literal("2027-01-01", 1))] == ["date"]
    assert [guard.kind for guard in compared(ref("tool-name"), literal("send_mail", 1))] == ["tool"]


def test_a_table_looked_into_with_content_is_a_lookup() -> None:
    assert [guard.kind for guard in looked_up(CONTENT, literal("hello", 1))] == ["lookup"]


def test_lengths_as_numbers() -> None:
    assert [guard.kind for guard in measured(ref("length"))] == ["length"]
    assert own_guards([NOTHING, NOTHING]) == []
