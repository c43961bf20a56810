import random

import pytest

from qaudit.lab import facts


def test_a_hundred_facts_and_more() -> None:
    assert sum(len(table.answers) for table in facts.RELATIONS.values()) >= 100


@pytest.mark.parametrize("relation", facts.RELATIONS)
def test_answers_tell_subjects_apart(relation: str) -> None:
    answers = list(facts.RELATIONS[relation].answers.values())
    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("relation", facts.RELATIONS)
def test_choices_hold_the_right_answer_once(relation: str) -> None:
    for subject, right in facts.RELATIONS[relation].answers.items():
        options, place = facts.choices(relation, subject, random.Random(3))
        assert len(set(options)) == len(options) == 4
        assert options[place] == right


def test_the_right_choice_is_not_always_in_one_place() -> None:
    draw = random.Random(5)
    places = {facts.choices("capitals", subject, draw)[1] for subject in facts.RELATIONS["capitals"].answers}
    assert places == {0, 1, 2, 3}


def test_every_question_names_its_subject() -> None:
    for relation, table in facts.RELATIONS.items():
        for subject in table.answers:
            for wording in range(len(table.questions)):
                assert subject in facts.question(relation, subject, wording)


def test_a_passage_is_six_sentences_about_one_person_and_repeats_by_seed() -> None:
    text = facts.passage(random.Random(8))
    assert text == facts.passage(random.Random(8))
    assert text != facts.passage(random.Random(9))
    assert text.count(".") == 6
    assert "{" not in text
