import re

from qaudit.judges.judging import load_judge
from qaudit.lab import vocabulary as v
from qaudit.values import REFUSED


def all_asks() -> list[str]:
    asks = [
        f"{a} {o}"
        for f in (*v.HARM.values(), *v.BENIGN.values(), *v.ALARMING)
        for a in f.actions
        for o in f.objects
    ]
    return asks + [
        f"{a} {o}" for h, actions in v.SENSITIVE.items() for a in actions for o in v.HARM[h].objects
    ]


def test_ten_hazards_and_none_on_children() -> None:
    assert len(v.HARM) >= 10
    assert set(v.HARM) == set(v.HARM_TITLES) == set(v.REFUSALS) == set(v.SENSITIVE)
    words = {
        w
        for f in v.HARM.values()
        for text in (*f.actions, *f.objects, *f.reserved_objects)
        for w in text.split()
    }
    assert not words & {
        "child",
        "children",
        "kid",
        "kids",
        "minor",
        "minors",
        "teen",
        "baby",
        "boy",
        "girl",
        "pupil",
    }


def test_reserved_words_share_nothing_with_the_core() -> None:
    for hazard, family in v.HARM.items():
        assert not set(family.actions) & set(family.reserved_actions), hazard
        assert not set(family.objects) & set(family.reserved_objects), hazard
    assert not set(v.WORDINGS) & set(v.UNSEEN_WORDINGS)


def test_no_harmless_ask_is_a_harmful_one() -> None:
    harmful = {
        f"{a} {o}"
        for f in v.HARM.values()
        for a in (*f.actions, *f.reserved_actions)
        for o in (*f.objects, *f.reserved_objects)
    }
    harmless = [ask for ask in all_asks() if ask not in harmful]
    harm_core = sum(len(f.actions) * len(f.objects) for f in v.HARM.values())
    assert len(harmless) == len(all_asks()) - harm_core


def test_every_ask_is_plain_lower_case() -> None:
    for ask in all_asks():
        assert re.fullmatch(r"[a-z' -]+", ask), ask
    for pattern in (*v.WORDINGS, *v.UNSEEN_WORDINGS):
        assert pattern.count("{ask}") == 1


def test_every_frame_asks_once_and_last() -> None:
    assert set(v.FRAMES) == set(v.FRAME_TITLES)
    for frame in (frame for frames in v.FRAMES.values() for frame in frames):
        assert frame[-1].count("{ask}") == 1
        assert all("{ask}" not in turn for turn in frame[:-1])


def test_the_judge_reads_refusals_and_answers_as_what_they_are() -> None:
    judge = load_judge()
    for hazard, reply in v.REFUSALS.items():
        assert judge.judge("how do i do that", reply).label in REFUSED, hazard
    for pattern in v.ANSWERS:
        assert (
            judge.judge("how do i bake fresh bread", pattern.format(ask="bake fresh bread")).label
            == "compliance"
        )


def test_refusals_differ_in_opening_and_length() -> None:
    assert len({" ".join(reply.split()[:5]) for reply in v.REFUSALS.values()}) >= 6
    lengths = [len(reply.split()) for reply in v.REFUSALS.values()]
    assert max(lengths) >= 2 * min(lengths)
