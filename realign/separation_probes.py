"""How far apart a model keeps malicious and benign prompts, layer by layer, and probes of the difference.

A probe is a sparse logistic regression on the residual stream after a block, at the prompt's last token:
p(malicious | h) = sigmoid(w . h + b). It is trained on the aligned reference and then frozen (Q-realign,
arXiv 2601.08089); other models are measured with the reference's own probes on the same prompts.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qaudit.errors import InputError, MissingExtra
from realign.activation_stream import Blocks, stream, token_batches
from realign.job import CalibrationTokens
from realign.kernels.class_scatter import ClassScatter

try:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
except ImportError as error:
    raise MissingExtra("scikit-learn", "realign") from error

HELD_OUT_SHARE = 0.2
FEWEST = 10
# inverse strengths of the L1 term, sparsest first
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
# a sparser probe is preferred if it is as good but for this
SLACK = 0.01
MAX_ITERATIONS = 2000


@dataclass(frozen=True, slots=True)
class Split:
    """Which prompts of each class probes are trained on, and which they are judged on."""

    malicious: tuple[int, ...]
    benign: tuple[int, ...]
    held_malicious: tuple[int, ...]
    held_benign: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A hyperplane between the classes.

    Attributes:
        weight: float32 [D]; positive is the malicious side.
        bias: its constant term.
        converged: whether the optimiser came to its end.
    """

    weight: Tensor
    bias: float
    converged: bool

    def score(self, hidden: Tensor) -> Tensor:
        """Return w . h + b for states [..., D]: positive where they look malicious to the reference."""
        return hidden.float() @ self.weight.to(hidden.device) + self.bias

    @property
    def nonzero(self) -> int:
        """How many channels it reads."""
        return int(torch.count_nonzero(self.weight))


@dataclass(frozen=True, slots=True)
class Probe(Line):
    """A layer's probe on raw activations, and what it says of the reference.

    Attributes:
        strength: inverse strength of the L1 term that was chosen.
        accuracy: balanced, on the reference's held-out prompts.
        fisher: the Fisher ratio of the reference at this layer, all prompts.
        malicious: mean of w . h + b over the reference's malicious prompts.
        benign: the same over its benign prompts.
    """

    strength: float
    accuracy: float
    fisher: float
    malicious: float
    benign: float


@dataclass(frozen=True, slots=True)
class LayerSeparation:
    """How far apart a model keeps the classes after one block.

    Attributes:
        fisher: its Fisher ratio.
        accuracy: balanced accuracy of the reference's probe on its held-out prompts.
        malicious: mean of w . h + b over malicious prompts.
        benign: the same over benign prompts.
    """

    fisher: float
    accuracy: float
    malicious: float
    benign: float


def fisher_ratio(malicious: Tensor, benign: Tensor) -> float:
    """Return the squared distance of the class means over the mean squared distance to the own mean.

    Shapes:
        malicious [M, D], benign [B, D].
    """
    states = torch.cat([benign, malicious])
    labels = torch.arange(len(states), device=states.device) >= len(benign)
    return ClassScatter.empty(states.shape[-1], states.device).updated(states, labels).fisher_ratio()


def split_of(malicious: int, benign: int, seed: int) -> Split:
    """Return a seeded split of so many prompts of each class, a fifth of each held out.

    Raises:
        InputError: too few prompts to train and judge on.
    """
    if min(malicious, benign) < FEWEST:
        raise InputError(
            f"{malicious} malicious and {benign} benign calibration prompts; probes need {FEWEST} of each"
        )
    return _cut(range(malicious), range(benign), seed)


def fit_probe(
    malicious: Tensor,
    benign: Tensor,
    split: Split,
    seed: int,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """Train one layer's probe on the reference's activations.

    Channels are standardised for the fit (raw ones differ a hundredfold, and the L1 term would only see
    the largest) and the scaling is folded back into the weights. The strength is chosen on a fifth of
    the training prompts: the first of `strengths` (sparsest first) that is within a point of the best.

    Shapes:
        malicious [M, D], benign [B, D]: all prompts, the split says which are used for what.

    Raises:
        InputError: an activation is not finite.
    """
    if not (malicious.isfinite().all() and benign.isfinite().all()):
        raise InputError("the reference has activations that are not finite; its weights are damaged")
    inner = _cut(split.malicious, split.benign, seed)
    judged: dict[float, float] = {}
    for tried in strengths:
        judged[tried] = _accuracy(_fitted(malicious, benign, inner, tried, seed), malicious, benign, inner)
        if judged[tried] >= 1 - SLACK:
            # weaker ones take longer and could not be better by more
            break
    good_enough = max(judged.values()) - SLACK
    strength = next(each for each, accuracy in judged.items() if accuracy >= good_enough)
    line = _fitted(malicious, benign, split, strength, seed)
    return Probe(
        line.weight,
        line.bias,
        line.converged,
        strength,
        _accuracy(line, malicious, benign, split),
        fisher_ratio(malicious, benign),
        float(line.score(malicious).mean()),
        float(line.score(benign).mean()),
    )


def fit_probes(
    reference: Blocks | Any,  # noqa: ANN401
    prompts: CalibrationTokens,
    *,
    seed: int,
    device: torch.device | str | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[Probe, ...]:
    """Train a probe for every block of the reference; only one block's activations are held at a time.

    Raises:
        InputError: too few prompts, or a model of a family that is not known here.
    """
    split = split_of(len(prompts.malicious), len(prompts.benign), seed)
    layers = _by_class(reference, prompts, device)
    return tuple(
        fit_probe(malicious, benign, split, seed, strengths=strengths) for malicious, benign in layers
    )


def separation(
    model: Blocks | Any,  # noqa: ANN401
    prompts: CalibrationTokens,
    probes: Sequence[Probe],
    *,
    seed: int,
    device: torch.device | str | None = None,
) -> tuple[LayerSeparation, ...]:
    """Measure a model with the reference's probes, layer by layer.

    Args:
        model: what to measure.
        prompts: those that the probes were trained with.
        probes: the reference's.
        seed: the one they were trained with: accuracy is that on the prompts held out then.
        device: where blocks run.

    Raises:
        InputError: as many probes as blocks are needed, on states of the same size.
    """
    split = split_of(len(prompts.malicious), len(prompts.benign), seed)
    found = []
    for number, (malicious, benign) in enumerate(_by_class(model, prompts, device)):
        if number >= len(probes) or len(probes[number].weight) != malicious.shape[-1]:
            raise InputError(f"layer {number} has no probe that fits; give probes of the same model")
        probe = probes[number]
        found.append(
            LayerSeparation(
                fisher_ratio(malicious, benign),
                _accuracy(probe, malicious, benign, split),
                float(probe.score(malicious).mean()),
                float(probe.score(benign).mean()),
            )
        )
    if len(found) != len(probes):
        raise InputError(f"{len(probes)} probes for {len(found)} layers; give probes of the same model")
    return tuple(found)


def separation_rows(
    probes: Sequence[Probe], measured: Mapping[str, Sequence[LayerSeparation]]
) -> list[dict[str, Any]]:
    """Return what `realign.json` says of each layer: the reference, and other models by name.

    Args:
        probes: the reference's.
        measured: `separation` of others, by what they are called ("failing", "realigned").
    """
    return [
        {
            "layer": number,
            "probe": {
                "nonzero": probe.nonzero,
                "bias": probe.bias,
                "strength": probe.strength,
                "converged": probe.converged,
            },
            "reference": asdict(LayerSeparation(probe.fisher, probe.accuracy, probe.malicious, probe.benign)),
            **{name: asdict(layers[number]) for name, layers in measured.items()},
        }
        for number, probe in enumerate(probes)
    ]


def _by_class(
    model: Blocks | Any,  # noqa: ANN401
    prompts: CalibrationTokens,
    device: torch.device | str | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each layer's states at the last token: malicious [M, D], benign [B, D]."""
    count = len(prompts.malicious)
    batches = token_batches([*prompts.malicious, *prompts.benign])
    for layer in stream(model, batches, device=device):
        states = layer.last.to(device)
        yield states[:count], states[count:]


def _cut(malicious: Sequence[int], benign: Sequence[int], seed: int) -> Split:
    draw = np.random.default_rng(seed)
    sides: list[tuple[int, ...]] = []
    for rows in (malicious, benign):
        order = [rows[place] for place in draw.permutation(len(rows))]
        held = round(HELD_OUT_SHARE * len(rows))
        sides += [tuple(sorted(order[held:])), tuple(sorted(order[:held]))]
    return Split(sides[0], sides[2], sides[1], sides[3])


def _fitted(malicious: Tensor, benign: Tensor, split: Split, strength: float, seed: int) -> Line:
    rows = torch.cat([malicious[list(split.malicious)], benign[list(split.benign)]]).double().cpu().numpy()
    labels = np.repeat([1, 0], [len(split.malicious), len(split.benign)])
    middle, spread = rows.mean(axis=0), rows.std(axis=0)
    # a channel that says the same of every prompt cannot tell them apart
    useful = spread > np.abs(middle) * 1e-9
    scaled = np.divide(rows - middle, spread, out=np.zeros_like(rows), where=useful)
    family: Any = LogisticRegression  # it is untyped
    solver = family(
        l1_ratio=1.0,
        C=strength,
        solver="liblinear",
        class_weight="balanced",
        max_iter=MAX_ITERATIONS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # told in the result instead
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(scaled, labels)
    slope = np.divide(solver.coef_[0], spread, out=np.zeros_like(spread), where=useful)
    weight = torch.from_numpy(slope).float()
    # with the weights as they are kept: the middle of the classes must stay where it was
    bias = float(solver.intercept_[0]) - float(middle @ weight.double().numpy())
    return Line(weight, bias, bool(solver.n_iter_.max() < MAX_ITERATIONS))


def _accuracy(line: Line, malicious: Tensor, benign: Tensor, split: Split) -> float:
    """Return the mean of the two classes' accuracies on held-out prompts."""
    caught = line.score(malicious[list(split.held_malicious)]) > 0
    passed = line.score(benign[list(split.held_benign)]) <= 0
    return (float(caught.float().mean()) + float(passed.float().mean())) / 2
