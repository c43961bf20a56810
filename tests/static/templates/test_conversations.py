from qaudit.static.templates.abstract_values import Guard
from qaudit.static.templates.conversations import plain_talks, said, tools_as_given, varied_talks


def why(*guards: Guard, system: bool = True) -> list[str]:
    return [talk.why for talk in varied_talks(guards, system=system)]


def test_plain_talks_have_unique_names_and_findable_contents() -> None:
    talks = plain_talks()
    assert len({talk.name for talk in talks}) == len(talks)
    for talk in talks:
        contents = [message.content for message in talk.messages]
        assert len(set(contents)) == len(contents)
        assert not any(one in other for one in contents for other in contents if one is not other)


def test_texts_that_conditions_ask_for_are_said_in_every_way() -> None:
    found = why(Guard("content", frozenset({"user"}), frozenset({"deploy"})))
    for how in ("holds", "is", "begins with", "ends with"):
        assert f"a user message that {how} 'deploy'" in found
    assert not any("system message that" in each for each in found)


def test_lengths_and_counts_on_both_sides() -> None:
    talks = list(
        varied_talks(
            [Guard("length", constants=frozenset({"400"})), Guard("count", constants=frozenset({"6"}))],
            system=False,
        )
    )
    assert {len(t.messages[-1].content) for t in talks if t.name.startswith("length")} == {399, 400, 401}
    assert {len(t.messages) for t in talks if t.name.startswith("count")} == {5, 6, 7, 8}


def test_dates_in_many_forms() -> None:
    for written in ("2027-01-01", "20270101", "2027", "January 1, 2027"):
        days = {
            talk.day.year
            for talk in varied_talks([Guard("date", constants=frozenset({written}))], system=False)
        }
        assert {2027, 2028} <= days, written
    assert any(
        talk.day.month == 4
        for talk in varied_talks([Guard("date", constants=frozenset({"April"}))], system=False)
    )
    assert any(
        talk.day.weekday() == 4
        for talk in varied_talks([Guard("date", constants=frozenset({"Friday"}))], system=False)
    )


def test_tools_by_name_and_conditions_together() -> None:
    guards = [
        Guard("tool", constants=frozenset({"send_mail"})),
        Guard("content", constants=frozenset({"pay"})),
    ]
    talks = list(varied_talks(guards, system=False))
    assert any(talk.tools == ("send_mail",) and talk.plain == "tools" for talk in talks)
    assert any(talk.tools == ("send_mail",) and "pay" in talk.messages[-1].content for talk in talks)
    assert tools_as_given(["x"])[0]["function"]["name"] == "x"


def test_hostile_constants_do_not_make_many_or_large_talks() -> None:
    guards = [Guard("content", constants=frozenset({f"word{i}"})) for i in range(500)]
    guards += [
        Guard(kind, constants=frozenset({"9" * 30, "99999", "-3", "x"}))
        for kind in ("length", "count", "date")
    ]
    talks = list(varied_talks(guards, system=True))
    assert len(talks) < 120
    assert all(len(message.content) < 30_000 for talk in talks for message in talk.messages)


def test_said_can_be_found_again() -> None:
    assert said("user", 3).content.startswith("qzuser3a")
    assert said("user", 3).content.endswith("qzuser3z")
