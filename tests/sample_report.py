"""Report values for tests: failing, passing, inconclusive, and one full of hostile text.

Figures come from the real metrics and verdicts from the real policy, so that they fit together.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any

from qaudit.metrics import first_token, paired, quality, rtsi
from qaudit.metrics.divergence import Divergence
from qaudit.metrics.first_token import FirstTokenPair
from qaudit.metrics.regimes import classify
from qaudit.policy.evaluation import evaluate
from qaudit.policy.schema import find_policy, load_policy
from qaudit.values import (
    CheckpointInfo,
    EngineInfo,
    Evidence,
    FileDigest,
    Finding,
    JudgeRef,
    Label,
    Metrics,
    Report,
    ResponsesRef,
    SuiteRef,
    TokenLogprob,
    ToolRef,
)

# markup of HTML, Jinja and rich, an end of a style and a comment, controls, a lone surrogate, bidi
HOSTILE = (
    "</style></script><script>alert(1)</script>--> [red]x[/red] {{7*7}} :smile:\x00\x1b[31m\r\n"
    "\u202e\u200b\ud800 ]]> \"'&<img src=x onerror=alert(1)>"
)
LONG = "x" * 100_000
CATEGORIES = ("defamation", "elections", "hate", "privacy", "violent_crimes", "indiscriminate_weapons")


def checkpoint(name: str, quantization: str, bits: float) -> CheckpointInfo:
    digest = FileDigest(f"{name}.gguf", 123_456, "ab" * 32)
    return CheckpointInfo(
        f"models/{name}.gguf", "gguf", quantization, "llama", 2_030_000, "ab" * 32, (digest,), bits
    )


def report(
    lost: dict[str, int],
    *,
    per_category: int = 30,
    findings: tuple[Finding, ...] = (),
    reworded: bool = False,
) -> Report:
    """A report whose candidate loses so many refusals per category, measured with the real metrics."""
    arms: dict[str, tuple[list[Label], list[Label]]] = {}
    for name in CATEGORIES:
        gone = lost.get(name, 0)
        arms[name] = (["refusal"] * per_category, ["compliance"] * gone + ["refusal"] * (per_category - gone))
    reference = [label for arm, _ in arms.values() for label in arm]
    candidate = [label for _, arm in arms.values() for label in arm]
    opens, helps = (TokenLogprob(1, "I", -0.1),), (TokenLogprob(2, "Sure", -0.2),)
    pairs = [
        FirstTokenPair(
            f"core/{i}", "core", opens, opens if c == "refusal" else helps, True, 0.01 * (i % 7), 0.9, 0.5
        )
        for i, c in enumerate(candidate)
    ]
    divergence = Divergence()
    divergence.add_figures([0.01, 0.02, 0.03], 3)
    answers: list[Label] = ["compliance"] * 120
    refusals = [(f"I am sorry but I cannot help with number {i % 4}", 12) for i in range(len(candidate))]
    kept = refusals[: sum(label == "refusal" for label in candidate)]
    if reworded:
        kept = [(f"As number {i} shows this is nothing", 30) for i in range(len(kept))]
    metrics = Metrics(
        refusal=paired.compare(reference, candidate),
        categories=paired.compare_categories(arms),
        over_refusal=paired.compare(answers, answers),
        suites={"core": paired.compare(reference, candidate)},  # type: ignore[dict-item]
        first_token=first_token.measure(pairs),
        rtsi=rtsi.measure(refusals, kept),
        quality=quality.assemble(
            quality.accuracy_change([[0.0, -1.0]] * 120, [[0.0, -1.0]] * 120, [0] * 120),
            quality.perplexity_change([-1.0, -2.0], [-1.1, -2.0]),
            divergence,
        ),
        coherence=paired.coherence(reference, candidate),
    )
    regime = classify(0.0, metrics.refusal.delta) if metrics.refusal else None
    verdict = evaluate(load_policy(find_policy("default")), metrics, findings, regime)
    return Report(
        tool=ToolRef("qaudit", "0.1.0"),
        created="2026-11-21T10:00:00Z",
        duration_s=12.5,
        seed=0,
        checkpoint=checkpoint("Q2_K", "Q2_K", 3.52),
        reference=checkpoint("F16", "F16", 16.0),
        engine=EngineInfo("llama.cpp", "llama-cpp-python 0.3.36", "cpu", 2, "AVX2"),
        suites=(SuiteRef("core", "1", "cd" * 32, len(candidate)),),
        judge=JudgeRef("rules", "1", "ef" * 32),
        verdict=verdict,
        metrics=metrics,
        findings=findings,
        evidence=Evidence(ResponsesRef("responses.jsonl", "01" * 32, len(candidate))),
    )


def passing_report() -> Report:
    return report({})


def failing_report() -> Report:
    finding = Finding(
        "template-differs", "high", "Another template", "tokenizer.chat_template", "-a\n+b", "put it back"
    )
    return report({"privacy": 25, "hate": 14}, findings=(finding,), reworded=True)


def inconclusive_report() -> Report:
    return report({}, per_category=3)


def hostile_report(text: str = HOSTILE) -> Report:
    """A failing report with hostile text in every text field that comes from outside."""
    kept = {"status", "regime", "severity", "risk", "schema", "sha256", "created"}

    def poisoned(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return value if name in kept else text
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{f.name: poisoned(getattr(value, f.name), f.name) for f in fields(value)})
        if isinstance(value, tuple):
            return tuple(poisoned(v, name) for v in value)
        if isinstance(value, dict):
            return {poisoned(k) + str(i): poisoned(v) for i, (k, v) in enumerate(value.items())}
        return value

    result: Report = poisoned(failing_report())
    return result
