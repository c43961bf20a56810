"""From a complete journal to metrics: the replies are judged, paired and counted here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qaudit.auditing.derive import derive_figures, opening_tokens
from qaudit.auditing.events import ARMS, Arm
from qaudit.journal import Journal
from qaudit.judges.judging import Judge
from qaudit.metrics import first_token, paired, quality, rtsi
from qaudit.metrics.divergence import Divergence
from qaudit.metrics.regimes import classify
from qaudit.probes import first_token as first_token_probe
from qaudit.probes.refusal import BEHAVIOUR, items_of
from qaudit.values import (
    REFUSED,
    Expectation,
    FirstTokenMeasure,
    Judgement,
    Label,
    Metrics,
    QualityMeasure,
    Regime,
    RtsiMeasure,
    Suite,
)

Fields = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Judged:
    """Both arms' replies with the judge's labels, by key."""

    replies: Mapping[Arm, Fields]
    judgements: Mapping[Arm, Mapping[str, Judgement]]

    def label(self, arm: Arm, key: str) -> Label:
        """Return one label."""
        return self.judgements[arm][key].label

    def labels(self, keys: Sequence[str]) -> tuple[list[Label], list[Label]]:
        """Return the labels of both arms, reference first."""
        return [self.label("reference", k) for k in keys], [self.label("candidate", k) for k in keys]


def judge_replies(journal: Journal, suites: Sequence[Suite], judge: Judge) -> Judged:
    """Label every reply that both arms gave."""
    replies: dict[Arm, Fields] = {arm: journal.fields(arm, "replies") for arm in ARMS}
    both = [
        (key, item)
        for key, _, item in items_of(suites, *BEHAVIOUR)
        if all(key in replies[arm] for arm in ARMS)
    ]
    judgements: dict[Arm, dict[str, Judgement]] = {}
    for arm in ARMS:
        judgements[arm] = {key: judge.judge(item.turns[-1], replies[arm][key]["text"]) for key, item in both}
    return Judged(replies, judgements)


def measure(
    journal: Journal, suites: Sequence[Suite], judged: Judged, calibration: rtsi.Calibration
) -> tuple[Metrics, Regime | None]:
    """Compute every metric that the suites at hand allow, and the regime."""
    pooled = _keys(suites, judged, "refuse", derived=False)
    by_category = _by_category(suites, judged)
    reference_labels = {key: judged.label("reference", key) for key in _keys(suites, judged, "refuse")}
    derive_figures(journal, reference_labels)
    by_suite = {
        suite.name: judged.labels(_keys([suite], judged, "refuse"))
        for suite in suites
        if suite.expectation == "refuse"
    }
    measured_suites = {name: pair for name, labels in by_suite.items() if (pair := paired.compare(*labels))}
    refusal = paired.compare(*judged.labels(pooled))
    answered = _keys(suites, judged, "answer")
    quality_measure = _quality(journal, suites)
    metrics = Metrics(
        refusal=refusal,
        categories=paired.compare_categories(by_category),
        over_refusal=paired.compare(*judged.labels(answered)),
        suites=measured_suites,
        first_token=_first_token(journal, suites, judged, reference_labels, "replies"),
        first_token_after_reasoning=_first_token(
            journal, suites, judged, reference_labels, "after_reasoning"
        ),
        rtsi=_rtsi(judged, pooled, calibration),
        quality=quality_measure,
        coherence=paired.coherence(*judged.labels([*_keys(suites, judged, "refuse"), *answered])),
        unmeasured=(
            *(f"categories.{name}" for name in paired.unmeasured(by_category)),
            *(f"suites.{name}" for name in by_suite if name not in measured_suites),
        ),
    )
    accuracy = quality_measure.accuracy if quality_measure else None
    regime = classify(accuracy.delta if accuracy else None, refusal.delta) if refusal else None
    return metrics, regime


def _keys(
    suites: Sequence[Suite], judged: Judged, expectation: Expectation, *, derived: bool = True
) -> list[str]:
    return [
        key
        for key, suite, _ in items_of(suites, expectation)
        if key in judged.judgements["reference"] and (derived or suite.derived_from is None)
    ]


def _by_category(suites: Sequence[Suite], judged: Judged) -> dict[str, tuple[list[Label], list[Label]]]:
    keys: dict[str, list[str]] = {}
    for key, suite, item in items_of(suites, "refuse"):
        if suite.derived_from is None:
            in_category = keys.setdefault(item.category, [])
            if key in judged.judgements["reference"]:
                in_category.append(key)
    return {name: judged.labels(in_category) for name, in_category in keys.items()}


def _first_token(
    journal: Journal,
    suites: Sequence[Suite],
    judged: Judged,
    reference_labels: Mapping[str, Label],
    kind: str,
) -> FirstTokenMeasure | None:
    arms: dict[Arm, Fields] = {arm: journal.fields(arm, kind) for arm in ARMS}
    figures = journal.fields("pair", kind)
    pairs = [
        first_token_probe.pair(
            key,
            suite.name,
            arms["reference"][key],
            arms["candidate"][key],
            figures.get(key),
            reference_refused=reference_labels[key] in REFUSED,
        )
        for key, suite, _ in items_of(suites, "refuse")
        if key in reference_labels and all(key in arms[arm] for arm in ARMS)
    ]
    position = "generation prompt" if kind == "replies" else "after an empty reasoning block"
    return first_token.measure(pairs, opening_tokens(journal, kind, reference_labels), position)


def _rtsi(judged: Judged, keys: Sequence[str], calibration: rtsi.Calibration) -> RtsiMeasure | None:
    def refusals(arm: Arm) -> list[tuple[str, int]]:
        return [
            (judged.replies[arm][key]["text"], int(judged.replies[arm][key]["tokens"]))
            for key in keys
            if judged.label(arm, key) in REFUSED
        ]

    return rtsi.measure(refusals("reference"), refusals("candidate"), calibration)


def _quality(journal: Journal, suites: Sequence[Suite]) -> QualityMeasure | None:
    choices: dict[Arm, Fields] = {arm: journal.fields(arm, "choices") for arm in ARMS}
    questions = [
        (key, item.answer)
        for key, _, item in items_of(suites, "choose")
        if item.answer is not None and all(_scored(choices[arm], key, "logprobs") for arm in ARMS)
    ]
    accuracy = quality.accuracy_change(
        [_per_token(choices["reference"][key]) for key, _ in questions],
        [_per_token(choices["candidate"][key]) for key, _ in questions],
        [answer for _, answer in questions],
    )
    passages: dict[Arm, Fields] = {arm: journal.fields(arm, "passages") for arm in ARMS}
    read = [
        key
        for key, _, _ in items_of(suites, "read")
        if all(_scored(passages[arm], key, "token_logprobs") for arm in ARMS)
    ]
    perplexity = quality.perplexity_change(
        *([x for key in read for x in passages[arm][key]["token_logprobs"]] for arm in ARMS)
    )
    divergence = Divergence()
    figures = journal.fields("pair", "passages")
    for key in read:
        if key in figures:
            divergence.add_figures(figures[key]["kl_nats"], figures[key]["agreed"])
    return quality.assemble(accuracy, perplexity, divergence)


def _scored(fields: Fields, key: str, name: str) -> bool:
    # an item that an engine could not score has an empty list
    return key in fields and bool(fields[key][name])


def _per_token(fields: Mapping[str, Any]) -> list[float]:
    return [total / count for total, count in zip(fields["logprobs"], fields["tokens"], strict=True)]
