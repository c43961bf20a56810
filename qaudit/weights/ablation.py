"""What was done to a checkpoint's weights: nothing but rounding, an ablation, an adapter, a fine-tune.

The signs (each may have an innocent cause, so that several are asked for):
  strength     the matched filter of an output direction, above what random directions give
  cosine       the strongest change of a matrix reads what the reference's matrix sends to that direction
  edge ratio   the strongest change stands out from noise
  contrast     an ablation changes what writes to the residual stream, and leaves the readers alone
  pooled gap   the layers' directions are one
Beside the blocks, the embeddings and the output matrix are looked at (`token_matrices`).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np

from qaudit.weights.low_rank import Columns, Spectrum, against_rounding, top_spectrum
from qaudit.weights.matched_filter import (
    LEAST_COSINE,
    LEAST_STRENGTH,
    NullStrength,
    consistency,
    null_strength,
    refined,
    strengths,
)
from qaudit.weights.matrix_pairs import WRITERS, MatrixPair
from qaudit.weights.mending import EXPLAINED, explained_by_columns, standing_out
from qaudit.weights.residuals import EXCESS, Residual, measure_residual
from qaudit.weights.rounding import RoundingGrid
from qaudit.weights.token_matrices import TOKEN_ROLES, TokenEvidence, token_evidence, told_of_tokens

Kind = Literal["identical", "rounding", "directional_ablation", "low_rank_edit", "fine_tune"]
ADJACENT_LAYERS = 3
# the strongest change over the edge of noise and of rounding: rounding to nearest gives up to 1.05, GPTQ 1.7
# (it moves weights along inputs that hardly occur), an adapter beyond 2 at four bits
SPIKE = 2.0
# the share of matrices that must show a change before it is the checkpoint's and not one matrix's
SPREAD = 0.25
POOLED_GAP = 1.5
_Asked = TypeVar("_Asked")
_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class MatrixEvidence:
    """What one matrix shows.

    Attributes:
        residual: distance from the reference, and what rounding explains of it.
        edge_ratio: the strongest change over the edge of noise.
        share: of the change's energy, in its strongest directions.
        cosine: of the change that looks most like an ablation (0 unless it stands out from noise).
        rest_edge_ratio: the strongest change that is no ablation, over the edge of noise.
        rest_excess: distance over that of rounding, without the ablations; None where that is not known.
        strength: with which the ablated direction was taken out; of the pooled direction where the matrix
            shows none of its own.
        directions: taken out of this matrix, orthonormal [O, M]; empty for none.
        mended: its strongest directions may be those of a quantizer that mends outputs
            (`qaudit.weights.mending`); they are left out of the rest.
    """

    name: str
    layer: int
    role: str
    residual: Residual
    edge_ratio: float
    share: float
    cosine: float
    rest_edge_ratio: float
    rest_excess: float | None
    strength: float
    null: NullStrength
    directions: Columns = field(repr=False)
    mended: bool = False

    @property
    def ablated(self) -> bool:
        """Whether this matrix alone shows a direction taken out of it."""
        return bool(self.directions.shape[1])

    @property
    def stands_out(self) -> bool:
        """Whether its strongest change is more than rounding makes, an ablation or something else."""
        return (self.rest_edge_ratio if self.mended else self.edge_ratio) >= SPIKE

    @property
    def excess(self) -> float | None:
        """Distance over that of rounding, without what may be mending; None where that is not known."""
        return self.rest_excess if self.mended else self.residual.excess

    @property
    def beyond_rounding(self) -> bool:
        """Whether it shows more than rounding, an ablation or something else."""
        return self.stands_out or (self.excess or 0.0) >= EXCESS

    @property
    def only_rounded(self) -> bool:
        """Whether rounding explains all of it but the ablations."""
        known = self.rest_excess is not None and not self.mended
        return known and self.rest_edge_ratio < SPIKE and (self.rest_excess or 0.0) < EXCESS


@dataclass(frozen=True, slots=True)
class WeightEvidence:
    """What the whole checkpoint shows.

    Attributes:
        kind: what was done.
        sentence: the same for a person, with the figures that say so.
        layers: in which a direction was taken out.
        pooled_gap: how far the writers' changes share one direction; 1 for none.
        direction: that direction [O]; None where none was taken out.
        matrices: of the blocks, in the checkpoint's order.
        tokens: the embeddings and, where it is another matrix, the output matrix.
    """

    kind: Kind
    sentence: str
    layers: tuple[int, ...]
    pooled_gap: float
    direction: Columns | None = field(repr=False)
    matrices: tuple[MatrixEvidence, ...] = field(repr=False)
    tokens: tuple[TokenEvidence, ...] = field(default=(), repr=False)

    @property
    def only_rounded(self) -> bool:
        """Whether, but for ablations, the weights are the reference's own with the noise of rounding."""
        blocks = all(matrix.only_rounded for matrix in self.matrices)
        return blocks and all(each.only_rounded for each in self.tokens)


def gather(
    pairs: Sequence[MatrixPair],
    grids: Mapping[str, RoundingGrid | None],
    seed: int = 0,
    threads: int = 1,
) -> WeightEvidence:
    """Look at every matrix of the blocks and of tokens and say what was done.

    Args:
        pairs: in the same scales (`qaudit.weights.folding.unfolded`).
        grids: how the checkpoint stores each, by name; a missing one is not known.
        seed: of random directions.
        threads: matrices looked at at once; the result is the same.

    Raises:
        InputError: a weight is not finite.
    """
    inside = [(pair, pair.layer) for pair in pairs if pair.layer is not None]

    def look(pair: MatrixPair) -> tuple[Residual, Spectrum]:
        grid = grids.get(pair.name)
        spectrum = top_spectrum(pair, seed=seed)
        if spectrum.edge_ratio >= SPIKE:
            # only what stands out is held against rounding too, which takes as long again
            spectrum = against_rounding(pair, grid, spectrum, seed)
        return measure_residual(pair, grid), spectrum

    looked = _each(look, [pair for pair, _ in inside], threads)
    residuals = {pair.name: found[0] for (pair, _), found in zip(inside, looked, strict=True)}
    spectra = {pair.name: found[1] for (pair, _), found in zip(inside, looked, strict=True)}
    writers = [pair for pair, _ in inside if pair.role in WRITERS]
    direction, gap = _pooled(writers, spectra)
    matrices = tuple(
        _each(
            lambda both: _matrix(
                *both,
                residuals[both[0].name],
                spectra[both[0].name],
                direction,
                grids.get(both[0].name),
                seed,
            ),
            inside,
            threads,
        )
    )
    judged = _judged(matrices, direction, gap)
    outside = [pair for pair in pairs if pair.layer is None and pair.role in TOKEN_ROLES]
    tokens = _each(
        lambda pair: token_evidence(pair, grids.get(pair.name), judged.direction, seed), outside, threads
    )
    return _with_tokens(judged, tuple(tokens))


def _each(look: Callable[[_Asked], _Seen], asked: Sequence[_Asked], threads: int) -> list[_Seen]:
    def quietly(one: _Asked) -> _Seen:
        # what a hostile file makes overflow is refused where it is read, or told as a figure
        with np.errstate(all="ignore"):
            return look(one)

    if threads == 1:
        return [quietly(one) for one in asked]
    pool = ThreadPoolExecutor(threads, "qaudit-weights")
    try:
        return list(pool.map(quietly, asked))
    finally:
        # one that fails ends it all
        pool.shutdown(cancel_futures=True)


def _with_tokens(judged: WeightEvidence, tokens: tuple[TokenEvidence, ...]) -> WeightEvidence:
    """Add what the matrices of tokens show; it may be all that was done."""
    told = told_of_tokens(tokens)
    if judged.kind == "directional_ablation":
        sentence = f"{judged.sentence}, and out of {told}" if told else judged.sentence
        return replace(judged, sentence=sentence, tokens=tokens)
    alone = [each for each in tokens if each.own and each.edge_ratio >= SPIKE]
    if alone and judged.kind in ("identical", "rounding"):
        sentence = f"a direction was taken out of {told}, and out of no layer"
        return replace(
            judged,
            kind="directional_ablation",
            sentence=sentence,
            direction=alone[0].directions[:, 0],
            tokens=tokens,
        )
    far = [t for t in tokens if t.residual.excess is not None and t.residual.excess >= EXCESS]
    if far and judged.kind in ("identical", "rounding"):
        names = " and ".join(TOKEN_ROLES[each.role] for each in far)
        sentence = (
            f"{names} lie farther from the reference's than rounding takes them "
            f"({max(each.residual.excess or 0.0 for each in far):.1f} times), the layers do not: tokens were "
            "trained further"
        )
        return replace(judged, kind="fine_tune", sentence=sentence, tokens=tokens)
    if judged.kind == "identical" and any(each.residual.relative for each in tokens):
        sentence = "the layers are the reference's own, embeddings or output matrix are rounded"
        return replace(judged, kind="rounding", sentence=sentence, tokens=tokens)
    return replace(judged, tokens=tokens)


def _pooled(writers: Sequence[MatrixPair], spectra: Mapping[str, Spectrum]) -> tuple[Columns | None, float]:
    """Return the output direction that most of the writers' changes share, and its lead over the next."""
    outputs = {pair.shape[0] for pair in writers}
    if len(outputs) != 1:
        return None, 1.0  # no writers, or no stream that all of them write to
    columns = []
    for pair in writers:
        spectrum = spectra[pair.name]
        if spectrum.energy > 0:
            raw = spectrum.left * spectrum.lengths[:, None]
            columns.append(raw / np.linalg.norm(raw, axis=0) * (spectrum.values / np.sqrt(spectrum.energy)))
    if not columns:
        return None, 1.0
    left, values, _ = np.linalg.svd(np.hstack(columns), full_matrices=False)
    gap = float((values[0] / values[1]) ** 2) if len(values) > 1 and values[1] > 0 else float("inf")
    return refined(writers, left[:, 0]), gap


def _matrix(
    pair: MatrixPair,
    layer: int,
    residual: Residual,
    spectrum: Spectrum,
    pooled: Columns | None,
    grid: RoundingGrid | None,
    seed: int,
) -> MatrixEvidence:
    null = null_strength(pair, seed)
    cosine = strength = 0.0
    taken: list[Columns] = []
    noise = spectrum.values[0] / max(spectrum.edge_ratio, 1e-9)
    rest = spectrum.values.copy()
    if pair.role in WRITERS and pooled is not None:
        strength = float(strengths(pair, pooled[:, None])[0]) - null.median
        own = consistency(pair, spectrum)
        for place in np.flatnonzero(spectrum.values > noise):
            above = float(own.strengths[place]) - null.median
            cosine = max(cosine, float(own.cosines[place]))
            if own.cosines[place] >= LEAST_COSINE and abs(above) >= LEAST_STRENGTH:
                taken.append(own.directions[:, place])
                rest[place] = 0.0
                # the change that looks most like an ablation comes first more often than not
                strength = above if len(taken) == 1 else strength
    directions = np.linalg.qr(np.stack(taken, axis=1))[0] if taken else np.zeros((pair.shape[0], 0))
    excess = residual.excess
    far = spectrum.edge_ratio >= SPIKE or (excess or 0.0) >= EXCESS
    mended = False
    if far and not taken and grid is not None and grid.mending:
        mended = explained_by_columns(pair, spectrum) >= EXPLAINED
        if mended:
            rest[standing_out(spectrum)] = 0.0
    cut = float(np.square(spectrum.values).sum() - np.square(rest).sum())
    left = np.sqrt(max(1 - cut / spectrum.energy, 0.0)) if spectrum.energy else 1.0
    return MatrixEvidence(
        pair.name, layer, pair.role, residual, spectrum.edge_ratio, spectrum.share,
        cosine, float(rest.max() / noise) if noise else 0.0, None if excess is None else float(excess * left),
        strength, null, directions, mended,
    )  # fmt: skip


def _judged(matrices: tuple[MatrixEvidence, ...], direction: Columns | None, gap: float) -> WeightEvidence:
    if all(matrix.residual.relative == 0 for matrix in matrices):
        return _evidence("identical", "every matrix is the reference's own", matrices)
    layers = tuple(sorted({matrix.layer for matrix in matrices if matrix.ablated}))
    needed = min(ADJACENT_LAYERS, len({matrix.layer for matrix in matrices}))
    stands_out = gap >= POOLED_GAP or any(m.edge_ratio >= SPIKE for m in matrices if m.ablated)
    if _longest_run(layers) >= needed and stands_out:
        hit = [matrix for matrix in matrices if matrix.ablated]
        low, high = (float(f([abs(m.strength) for m in hit])) for f in (min, max))
        sentence = (
            f"a direction was taken out of {len(hit)} matrices that write to the residual stream, "
            f"layers {layers[0]} to {layers[-1]}, strength {low:.2f} to {high:.2f} "
            f"(they read what the reference sends there: cosine {min(m.cosine for m in hit):.2f} or more)"
        )
        return _evidence("directional_ablation", sentence, matrices, layers, direction, gap)
    changed = [m for m in matrices if m.stands_out]
    if len(changed) >= SPREAD * len(matrices):
        sentence = (
            f"{len(changed)} of {len(matrices)} matrices have a change in few directions that rounding does "
            f"not make (up to {max(m.edge_ratio for m in changed):.1f} times the edge of noise), and it is "
            "no ablation: an adapter was merged, or the model was fine-tuned a little"
        )
        return _evidence("low_rank_edit", sentence, matrices, gap=gap)
    known = [m.excess for m in matrices if m.excess is not None]
    far = [excess for excess in known if excess >= EXCESS]
    if len(far) >= SPREAD * len(matrices):
        sentence = (
            f"{len(far)} of {len(matrices)} matrices are farther from the reference's than rounding takes "
            f"them (up to {max(far):.1f} times), in many directions: the model was trained further"
        )
        return _evidence("fine_tune", sentence, matrices, gap=gap)
    beyond = [m.name for m in matrices if m.beyond_rounding]
    if beyond:
        sentence = (
            f"{len(beyond)} of {len(matrices)} matrices lie farther from the reference's than rounding takes "
            f"them ({told_names(beyond)}), all others do not"
        )
        return _evidence("rounding", sentence, matrices, gap=gap)
    most = f"up to {max(known):.2f} times what rounding to nearest gives" if known else "of unknown rounding"
    sentence = f"no matrix is off by more than its stored type explains ({most}): quantization did it"
    return _evidence("rounding", sentence, matrices, gap=gap)


def _evidence(
    kind: Kind,
    sentence: str,
    matrices: tuple[MatrixEvidence, ...],
    layers: tuple[int, ...] = (),
    direction: Columns | None = None,
    gap: float = 1.0,
) -> WeightEvidence:
    return WeightEvidence(kind, sentence, layers, gap, direction, matrices)


def told_names(names: Sequence[str], most: int = 3) -> str:
    """Return the first few names in words, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _longest_run(layers: Sequence[int]) -> int:
    longest = run = 0
    before: int | None = None
    for layer in layers:
        run = run + 1 if before is not None and layer == before + 1 else 1
        longest, before = max(longest, run), layer
    return longest
