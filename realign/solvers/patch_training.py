"""Rounds of training of a patch: the masks scored anew, then steps of Adam on all terms at once."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from realign.calibration_activations import ROWS_AT_ONCE
from realign.greedy_replies import Tokens
from realign.job import Job, scaled_steps
from realign.reply_rows import ReplyRows, logits_where, reply_log_probabilities, reply_rows
from realign.solvers.masked_adam import MaskedAdam
from realign.solvers.patched_linear import PatchedLinear, PatchShape, rounded_once
from realign.solvers.preference_data import PreferenceData
from realign.solvers.preference_loss import TermWeights, preference_loss, reply_divergence, weighted
from realign.solvers.safety_mask import masks, safety_scores
from realign.solvers.teacher import Teacher
from realign.solvers.training_order import endless, rate_share

REPORTED_STEPS = 5
WARM_UP = 0.1


@dataclass(frozen=True, slots=True)
class QresafeOptions:
    """How the patch is found.

    Attributes:
        rounds: of training, each with masks of its own.
        steps: optimizer steps in a round.
        batch: malicious prompts in a step.
        benign_batch: benign prompts in a step.
        texts_batch: texts in a step.
        fraction: of the weights that may change, those with the highest scores.
        shape: of the patch.
        rate: highest learning rate of the patch, in root mean squares of the layer's weights: models
            differ in how large theirs are. It rises over the first tenth and falls by a cosine.
        ranges_rate: the same of the ranges.
        beta: of the preferences.
        terms: weights of the loss's terms.
        longest: tokens of a reply.
        texts: how many the parent writes.
        longest_text: tokens of a text.
        input_bits: to which runtimes round the inputs of linear layers (w8a8: 8); None for none.
    """

    rounds: int = 4
    steps: int = 40
    batch: int = 8
    benign_batch: int = 8
    texts_batch: int = 4
    fraction: float = 0.3
    shape: PatchShape = field(default_factory=PatchShape)
    rate: float = 8e-3
    ranges_rate: float = 1e-2
    beta: float = 0.1
    terms: TermWeights = field(default_factory=TermWeights)
    longest: int = 64
    texts: int = 64
    longest_text: int = 64
    input_bits: int | None = None

    def scaled(self, effort: float) -> "QresafeOptions":
        """Return the same with so many times the steps."""
        return replace(self, steps=scaled_steps(self.steps, effort))


class PatchTraining:
    """Trains the patch of a parent whose patched layers are in place.

    Args:
        job: whose parent still has layers of its own: teachers are run before anything is patched.
        layers: the parent's patched layers, by module name.
        data: prompts and replies.
        options: how.
    """

    def __init__(
        self, job: Job, layers: Mapping[str, PatchedLinear], data: PreferenceData, options: QresafeOptions
    ) -> None:
        self._job, self._layers, self._data, self._options = job, layers, data, options
        self.optimizer = MaskedAdam(
            {f"{name}:{part}": value for name, layer in layers.items() for part, value in layer.parts.items()}
        )
        self._rates = [
            options.ranges_rate if part == "ends" else options.rate * layer.size
            for layer in layers.values()
            for part in layer.parts
        ]
        # all but the token that a text was begun with counts as its reply
        self._texts = ([text[:1] for text in data.texts], [text[1:] for text in data.texts])
        self._imitated = Teacher(job.reference, data.prompts, data.preferred)
        self._answered = Teacher(job.parent, data.benign, data.answers)
        self._written = Teacher(job.parent, *self._texts)

    def round(self, number: int) -> dict[str, float]:
        """Train for one round; return each term's mean over its first and its last few steps."""
        options, data = self._options, self._data
        draw = random.Random(f"{self._job.seed} qresafe round {number}")  # noqa: S311
        allowed = self._masks()
        malicious, benign, texts = (
            endless(range(len(rows)), lambda count: draw.sample(range(count), count))
            for rows in (data.prompts, data.benign, data.texts)
        )
        learned = list(self.optimizer.parameters.values())
        seen: list[dict[str, float]] = []
        for _ in range(options.steps):
            # rounded once a step, for all the terms
            with rounded_once(self._layers):
                terms = self._preference_terms([next(malicious) for _ in range(options.batch)])
                chosen = [next(benign) for _ in range(options.benign_batch)]
                terms["anchor"] = self._anchor(self._answered, data.benign, data.answers, chosen)
                if data.texts and options.texts_batch:
                    chosen = [next(texts) for _ in range(options.texts_batch)]
                    terms["texts"] = self._anchor(self._written, *self._texts, chosen)
                slopes = torch.autograd.grad(weighted(terms, options.terms), learned, materialize_grads=True)
            taken, total = self.optimizer.taken, options.rounds * options.steps
            factor = rate_share(taken, max(1.0, WARM_UP * total), math.pi * taken / total)
            self.optimizer.step(slopes, allowed, [factor * rate for rate in self._rates])
            seen.append({name: float(term.detach()) for name, term in terms.items()})
        return _ends(seen)

    def _preference_terms(self, chosen: Sequence[int]) -> dict[str, Tensor]:
        """Return the terms on malicious prompts."""
        data, options = self._data, self._options
        rows = self._rows(data.prompts, data.preferred, chosen)
        logits = logits_where(self._job.parent, rows, rows.replies)
        terms = {"imitation": reply_divergence(self._imitated.logits(chosen), logits, len(chosen))}
        # a pair of equal replies says nothing about preference
        pairs = [at for at, i in enumerate(chosen) if data.preferred[i] != data.rejected[i]]
        if options.terms.preference and pairs:
            differing = [chosen[at] for at in pairs]
            others = self._rows(data.prompts, data.rejected, differing)
            rejected = reply_log_probabilities(logits_where(self._job.parent, others, others.replies), others)
            preferred = reply_log_probabilities(logits, rows)[pairs]
            base = data.base[:, differing].to(rejected.device)
            terms["preference"] = preference_loss(preferred - base[0], rejected - base[1], options.beta)
        return terms

    def _anchor(
        self, teacher: Teacher, prompts: Sequence[Tokens], replies: Sequence[Tokens], chosen: Sequence[int]
    ) -> Tensor:
        """Return how far the patched parent is from itself unpatched."""
        rows = self._rows(prompts, replies, chosen)
        got = logits_where(self._job.parent, rows, rows.replies)
        return reply_divergence(teacher.logits(chosen), got, len(chosen))

    def _masks(self) -> list[Tensor]:
        """Return what a round that begins now may change."""
        data, fraction = self._data, self._options.fraction
        if fraction >= 1:
            one = torch.ones(1, dtype=torch.bool, device=self._job.parent.device)
            return [one for layer in self._layers.values() for _ in layer.parts]
        batches = (
            self._rows(data.prompts, data.preferred, range(at, min(at + ROWS_AT_ONCE, len(data.prompts))))
            for at in range(0, len(data.prompts), ROWS_AT_ONCE)
        )
        return masks(self._layers, safety_scores(self._job.parent, self._layers, batches), fraction)

    def _rows(self, prompts: Sequence[Tokens], replies: Sequence[Tokens], chosen: Sequence[int]) -> ReplyRows:
        device = self._job.parent.device
        return reply_rows([prompts[i] for i in chosen], [replies[i] for i in chosen], device)


def _ends(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found = {}
    for when, part in (("before", seen[:REPORTED_STEPS]), ("after", seen[-REPORTED_STEPS:])):
        for name in sorted({name for terms in part for name in terms}):
            values = [terms[name] for terms in part if name in terms]
            found[f"{name}.{when}"] = sum(values) / len(values)
    return found
