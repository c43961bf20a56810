"""The frozen values that travel between rooms.

No value knows how it was made or where it goes. Rates are fractions in [0, 1], `delta` is candidate
minus reference, intervals are 95 %, hashes are lower-case hex SHA-256. `None` means "not measured"
and is left out of the report; it is never zero.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

from qaudit.findings import SEVERITIES as SEVERITIES
from qaudit.findings import FileDigest as FileDigest
from qaudit.findings import Finding as Finding
from qaudit.findings import Inspection as Inspection
from qaudit.findings import Severity as Severity
from qaudit.findings import Status as Status
from qaudit.findings import Surface as Surface
from qaudit.findings import ToolRef as ToolRef

Label = Literal["refusal", "partial", "compliance", "incoherent", "empty"]
LABELS: tuple[Label, ...] = get_args(Label)
REFUSED: frozenset[Label] = frozenset({"refusal", "partial"})
# labels that say neither "refused" nor "answered"
UNDECIDED: frozenset[Label] = frozenset({"incoherent", "empty"})

Regime = Literal["neutral", "near_hidden_danger", "hidden_danger"]
Tier = Literal["LOW", "MODERATE", "HIGH"]
Expectation = Literal["refuse", "answer", "choose", "read"]
Finish = Literal["eos", "length", "decided", "too_long", "crashed"]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What a checkpoint is and which bytes it is made of.

    `sha256` is the file's own digest for one file, else the digest of the sorted list of files
    (see `qaudit.checkpoints.digests`).
    """

    path: str
    format: str
    quantization: str
    architecture: str
    parameters: int
    sha256: str
    files: tuple[FileDigest, ...]
    bits_per_weight: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a suite.

    `turns` are the user's messages in order (one, or several for a build-up). For an item of a
    "choose" suite `choices` and `answer` (index of the right one) are set; for a "read" suite the
    only turn is the passage.
    """

    id: str
    category: str
    turns: tuple[str, ...]
    choices: tuple[str, ...] = ()
    answer: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A loaded prompt suite. `sha256` covers suite.yaml and prompts.jsonl.

    `categories` maps each category's id to its title, in the order of suite.yaml.
    """

    name: str
    version: str
    licence: str
    expectation: Expectation
    sha256: str
    items: tuple[Item, ...]
    description: str = ""
    derived_from: str | None = None
    categories: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine that answered, in enough detail to repeat the run."""

    name: str
    version: str
    device: str
    threads: int
    build: str


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with its natural-log probability."""

    token: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Reply:
    """One greedy reply. `tokens` counts generated tokens without the end token."""

    id: str
    text: str
    tokens: int
    finish: Finish
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's label with the reason for it; `score` is the refusal probability where there is one."""

    label: Label
    reason: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """A proportion with its Wilson interval; `n` counts decided replies only."""

    rate: float
    n: int
    ci95: Interval
    undecided: int = 0
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PairedRate:
    """One rate on both arms, over the same prompts.

    lost: reference refused, candidate did not; gained: the reverse; `pairs`: prompts decided on
    both arms; `at_risk`: pairs in which the reference refused; `strict_delta`: the same delta with
    partial refusals counted as compliance; `mde`: smallest true fall that this n detects with
    80 % power at the 5 % level, None where no fall is detectable with so few pairs; `p_adjusted`:
    Holm over the categories.
    """

    reference: Rate
    candidate: Rate
    delta: float
    delta_ci95: Interval
    pairs: int
    lost: int
    gained: int
    at_risk: int
    mcnemar_p: float
    mde: float | None
    strict_delta: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True, slots=True)
class FlipExample:
    """A prompt whose first reply token changed."""

    id: str
    suite: str
    reference: str
    candidate: str
    kl_nats: float | None
    safety: bool


@dataclass(frozen=True, slots=True)
class FirstTokenMeasure:
    """First-token flips over the suites that should be refused.

    `safety_flip_rate` is over the prompts whose reference argmax opens a refusal
    (`safety_n` of them). `refusal_mass_drop` is the mean fall of probability on the
    refusal-opening set. KL(reference || candidate) in nats over the full vocabulary.
    """

    n: int
    flips: int
    flip_rate: float
    ci95: Interval
    safety_n: int
    safety_flips: int
    safety_flip_rate: float | None
    safety_ci95: Interval | None
    kl_mean: float | None
    kl_p99: float | None
    refusal_mass_drop: float | None
    position: str = "generation prompt"
    examples: tuple[FlipExample, ...] = ()


@dataclass(frozen=True, slots=True)
class RtsiFeatures:
    """Four differences (or, for one arm, values) of refusal-template statistics."""

    dominant_prefix_share_delta: float
    unique_prefix_rate_delta: float
    prefix_entropy_norm_delta: float
    mean_tokens_refusal_delta: float


@dataclass(frozen=True, slots=True)
class RtsiMeasure:
    """Refusal Template Stability Index (arXiv 2606.10154) under a named calibration.

    `contributions` has each feature's part of the score, which they sum to; it is empty where the
    score stands by definition. `cut_offs`: MODERATE and HIGH begin there.
    """

    score: float
    risk: Tier
    features: RtsiFeatures | None
    calibration: str
    reference_refusals: int
    candidate_refusals: int
    note: str = ""
    contributions: dict[str, float] = field(default_factory=dict, hash=False)
    cut_offs: Interval | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A figure on both arms."""

    reference: float
    candidate: float
    delta: float
    n: int
    delta_ci95: Interval | None = None


@dataclass(frozen=True, slots=True)
class QualityMeasure:
    """What deployers look at; KL in nats and agreement over `positions` text positions."""

    accuracy: Change | None = None
    perplexity: Change | None = None
    perplexity_ratio: float | None = None
    kl_mean: float | None = None
    kl_p99: float | None = None
    top1_agreement: float | None = None
    positions: int | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Everything measured; what was not measured is None and absent from the report.

    `suites` holds the suites whose prompts should be refused. `coherence` is the share of replies
    that are neither incoherent nor empty, over every suite that asks for a reply. `unmeasured`
    names what was asked but left no decided pair (`categories.weapons`), so that it is not lost.
    """

    refusal: PairedRate | None = None
    categories: dict[str, PairedRate] = field(default_factory=dict)
    over_refusal: PairedRate | None = None
    suites: dict[str, PairedRate] = field(default_factory=dict)
    first_token: FirstTokenMeasure | None = None
    first_token_after_reasoning: FirstTokenMeasure | None = None
    rtsi: RtsiMeasure | None = None
    quality: QualityMeasure | None = None
    coherence: Change | None = None
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one policy rule saw. `observed` is None when the metric was not measured.

    `rule` is the rule's id in the policy; `metric` the path that was read, with the category or
    suite's name in place of a `*`.
    """

    rule: str
    observed: int | float | str | None
    threshold: str
    status: Status
    why: str
    metric: str = ""


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """The policy by name, version and digest of its file."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, with one result per rule (a `*` rule gives one result per category)."""

    status: Status
    regime: Regime | None
    rules: tuple[RuleResult, ...]
    policy: PolicyRef


@dataclass(frozen=True, slots=True)
class SuiteRef:
    """A suite by name, version and digest, with the number of items asked."""

    name: str
    version: str
    sha256: str
    items: int


@dataclass(frozen=True, slots=True)
class ResponsesRef:
    """The file with every prompt and reply behind the figures."""

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Files that the report rests on."""

    responses: ResponsesRef


@dataclass(frozen=True, slots=True)
class JudgeRef:
    """The judge by name, version and digest of what it was built from."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the answers depend on besides checkpoints, suites and the engine's build (lengths in tokens)."""

    template_source: Literal["reference", "file"]
    template_sha256: str
    max_tokens: int
    context: int
    parallel: int
    batch: int
    gpu_layers: int
    calibration_sha256: str | None = None
    compute: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`report.json` as a value (CONTRACT, schema qaudit/report/v1)."""

    tool: ToolRef
    created: str
    duration_s: float
    seed: int
    checkpoint: CheckpointInfo
    reference: CheckpointInfo
    engine: EngineInfo
    suites: tuple[SuiteRef, ...]
    judge: JudgeRef
    verdict: Verdict
    metrics: Metrics
    findings: tuple[Finding, ...]
    evidence: Evidence
    notes: tuple[str, ...] = ()
    settings: Settings | None = None
    schema: Literal["qaudit/report/v1"] = "qaudit/report/v1"
