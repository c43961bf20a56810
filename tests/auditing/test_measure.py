from collections.abc import Iterator
from pathlib import Path

import pytest

from qaudit.auditing.measure import judge_replies, measure
from qaudit.journal import Journal, Record
from qaudit.judges.judging import load_judge
from qaudit.metrics.rtsi import PUBLISHED
from qaudit.values import Item, Suite

REFUSAL = "I'm sorry, but I can't help with that."
ANSWER = "Sure. First get a bucket, then fill it with water and carry it to the garden."


def suite(name: str, expectation: str, categories: list[str], derived_from: str | None = None) -> Suite:
    items = tuple(
        Item(str(i), c, (f"how do i do thing {i}",), ("x", "y"), 0) for i, c in enumerate(categories)
    )
    return Suite(name, "1", "l", expectation, "0" * 64, items, derived_from=derived_from)  # type: ignore[arg-type]


SUITES = (
    suite("core", "refuse", ["hate"] * 10 + ["privacy"] * 10),
    suite("adaptive", "refuse", ["hate"] * 4, derived_from="core"),
    suite("benign", "answer", ["cooking"] * 6),
    suite("quality", "choose", ["q"] * 5),
    suite("reading", "read", ["r"]),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "j", "k", resume=False)
    for arm in ("reference", "candidate"):
        lost = {f"core/{i}" for i in range(10, 16)} | {"adaptive/0"} if arm == "candidate" else set()
        replies = []
        for one in SUITES[:3]:
            for item in one.items:
                key = f"{one.name}/{item.id}"
                text = ANSWER if one.expectation == "answer" or key in lost else REFUSAL
                top = [{"token": 1 if text is REFUSAL else 2, "text": text.split()[0], "logprob": -0.1}]
                replies.append(
                    Record(key, {"text": text, "tokens": len(text.split()), "finish": "eos", "top": top})
                )
        opened.add(arm, "replies", replies)
        scores = [-1.0, -9.0] if arm == "reference" else [-9.0, -1.0]
        opened.add(
            arm,
            "choices",
            [
                Record(f"quality/{i}", {"logprobs": scores if i == 0 else [-1.0, -9.0], "tokens": [1, 3]})
                for i in range(5)
            ],
        )
        opened.add(arm, "passages", [Record("reading/0", {"token_logprobs": [-1.0, -2.0]})])
    opened.add("pair", "passages", [Record("reading/0", {"kl_nats": [0.1, 0.3], "agreed": 1})])
    yield opened
    opened.close()


def test_every_metric_from_one_journal(journal: Journal) -> None:
    judged = judge_replies(journal, SUITES, load_judge())
    metrics, regime = measure(journal, SUITES, judged, PUBLISHED)
    assert metrics.refusal is not None
    # variants do not enter the pooled rates
    assert (metrics.refusal.pairs, metrics.refusal.lost, metrics.refusal.gained) == (20, 6, 0)
    assert metrics.categories["hate"].delta == 0
    assert metrics.categories["privacy"].delta == -0.6
    assert metrics.suites["adaptive"].delta == -0.25
    assert metrics.over_refusal is not None
    assert metrics.over_refusal.reference.rate == 0
    assert metrics.first_token is not None
    assert (metrics.first_token.n, metrics.first_token.safety_n, metrics.first_token.safety_flips) == (
        24,
        24,
        7,
    )
    assert metrics.first_token.kl_mean is None
    assert metrics.rtsi is not None
    assert (metrics.rtsi.reference_refusals, metrics.rtsi.candidate_refusals) == (20, 14)
    assert metrics.quality is not None
    assert metrics.quality.accuracy is not None
    assert metrics.quality.accuracy.delta == pytest.approx(-0.2)
    assert metrics.quality.perplexity_ratio == 1
    assert metrics.quality.kl_mean == pytest.approx(0.2)
    assert metrics.quality.top1_agreement == 0.5
    assert metrics.coherence is not None
    assert metrics.coherence.n == 30
    # refusal fell by 30 points, accuracy by 20
    assert regime == "neutral"


def test_what_one_arm_could_not_score_counts_on_neither(journal: Journal) -> None:
    whole, _ = measure(journal, SUITES, judge_replies(journal, SUITES, load_judge()), PUBLISHED)
    (key, *_) = sorted(journal.known("candidate", "choices"))
    journal.add("candidate", "choices", [Record(key, {"logprobs": [], "tokens": []})])
    (passage, *_) = sorted(journal.known("candidate", "passages"))
    journal.add("candidate", "passages", [Record(passage, {"token_logprobs": []})])
    metrics, _ = measure(journal, SUITES, judge_replies(journal, SUITES, load_judge()), PUBLISHED)
    assert whole.quality is not None
    assert whole.quality.accuracy is not None
    assert metrics.quality is not None
    assert metrics.quality.accuracy is not None
    assert metrics.quality.accuracy.n == whole.quality.accuracy.n - 1


def test_what_was_not_asked_is_absent(journal: Journal) -> None:
    only = SUITES[2:3]
    metrics, regime = measure(journal, only, judge_replies(journal, only, load_judge()), PUBLISHED)
    assert metrics.refusal is None
    assert metrics.first_token is None
    assert metrics.rtsi is None
    assert metrics.quality is None
    assert metrics.categories == {}
    assert regime is None


def test_a_category_without_a_decided_pair_is_named(journal: Journal) -> None:
    broken = [
        Record(f"core/{i}", {"text": "", "tokens": 0, "finish": "crashed", "top": []}) for i in range(10)
    ]
    journal.add("candidate", "replies", broken)
    metrics, _ = measure(journal, SUITES, judge_replies(journal, SUITES, load_judge()), PUBLISHED)
    assert metrics.unmeasured == ("categories.hate",)
    assert set(metrics.categories) == {"privacy"}
