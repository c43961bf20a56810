# ruff: noqa: ANN401 - transformers is untyped
"""What each term of qrealign's objective, and the malicious share, does to a 2-bit checkpoint of the lab.

    python benchmarks/realign_ablation.py [--seeds 5] [--only NAME ...] [--target q2_k] [--scale 1.0]
                                          [--held-out]

The lab's reference is quantized to the grid of Q2_K-pure (or of 2-bit GPTQ), on the lab's calibration
sets; greedy replies to the evaluation suites are judged as in an audit. Each variant changes one thing.
With --held-out no evaluation suite is looked at: a fifth of the calibration prompts is not calibrated on
but asked, and texts are measured that the reference wrote with another seed. Settings are chosen so.
Results go to benchmarks/results/realign_ablation.json; those that are there already are kept.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from qaudit.files import make_folder, write_atomically
from qaudit.judges.judging import load_judge
from qaudit.lab import grammar
from qaudit.lab.calibration import calibration_sets
from qaudit.lab.members import reference_folder
from qaudit.locks import locked
from qaudit.values import REFUSED, UNDECIDED, Item
from realign.activation_stream import token_batches
from realign.decoder_blocks import STAGES, blocks_of, module_name
from realign.greedy_replies import greedy_replies, own_texts
from realign.grids.grid import Grid
from realign.grids.group_grid import GroupGrid
from realign.grids.superblock_grid import SuperblockGrid
from realign.job import CalibrationTokens, Job, Solution
from realign.objective import Objective, divergence
from realign.reply_rows import logits_where
from realign.solvers.layer_training import Rates
from realign.solvers.qrealign import QRealignOptions, QRealignSolver
from realign.solvers.taught_rows import rows_of, texts_of

RESULTS = Path(__file__).parent / "results" / "realign_ablation.json"
LOCK = RESULTS.with_name("scratch") / "realign_ablation.lock"
LONGEST, CHOICES_AT_ONCE = 44, 100
REFUSED_SUITES, ANSWERED_SUITES = ("lab-core", "lab-unseen", "lab-adaptive"), ("lab-benign", "lab-borderline")
HELD_OUT = ("held-out-malicious", "held-out-harmless")
# every how many-th prompt is held out; texts that measure, and the seed that no run draws its own with
HELD_FOLD, TEXTS, TEXT_LENGTH, TEXT_SEED = 5, 256, 64, 10_007
FULL = QRealignOptions()
LAYERS = replace(FULL, rounds=0)
# as published: ranges and scales alone, one side of the probe, no margin, three malicious prompts in four
PUBLISHED = replace(
    LAYERS,
    layer_rates=Rates(weights=0.0),
    objective=Objective(malicious=0.0, separation=1.0, margin=0.0, malicious_share=0.75),
)


def variants() -> dict[str, QRealignOptions]:
    """What is compared, by name."""

    def weighted(**changed: float) -> QRealignOptions:
        return replace(FULL, objective=replace(FULL.objective, **changed))

    return {
        "least error": replace(FULL, rounds=0, early_epochs=0, late_epochs=0),
        "as published": PUBLISHED,
        "blocks alone": LAYERS,
        "full": FULL,
        "without separation": weighted(separation=0.0),
        "without benign reconstruction": weighted(benign=0.0),
        "without malicious reconstruction": weighted(malicious=0.0),
        "without first token": weighted(first_token=0.0),
        "without replies": weighted(replies=0.0),
        "without prompts": weighted(prompts=0.0),
        "without texts": weighted(texts=0.0),
        "without scales in norms": replace(FULL, transform=False),
        "ranges alone": replace(FULL, layer_rates=Rates(weights=0.0), round_rates=Rates(weights=0.0)),
        "texts twice": weighted(texts=1.0),
        "texts four times": weighted(texts=2.0),
        "1024 texts": replace(FULL, texts=1024),
        "1024 texts twice": replace(weighted(texts=1.0), texts=1024),
        "1024 texts twice, six rounds": replace(weighted(texts=1.0), texts=1024, rounds=6),
        **{
            f"malicious share {share}%": weighted(malicious_share=share / 100)
            for share in (0, 25, 50, 75, 100)
        },
    }


class Lab:
    """The lab's reference, its prompts as tokens, and what is asked of every variant."""

    def __init__(self) -> None:
        folder = reference_folder()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._folder = folder
        self._judge = load_judge()
        self.reference = self.model()
        self.ends = frozenset({int(self.reference.config.eos_token_id)})
        self.prompts = CalibrationTokens(*(self._asked(each.items) for each in calibration_sets()))

    def model(self) -> Any:
        """A copy of the reference in float32."""
        model: Any = AutoModelForCausalLM.from_pretrained(
            self._folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        return model.eval().requires_grad_(False)

    def _asked(self, items: Sequence[Item]) -> tuple[tuple[int, ...], ...]:
        return tuple(self._ids("".join(_rendered(item))) for item in items)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def measured(self, model: Any) -> dict[str, float]:
        """Rates over decided replies, share of undecided ones, accuracy and perplexity."""
        suites = {name: grammar.suite(name).items for name in (*REFUSED_SUITES, *ANSWERED_SUITES)}
        found = self._refused(model, suites)
        found["accuracy"] = self._accuracy(model)
        found["perplexity"] = self._perplexity(model)
        return found

    def _refused(self, model: Any, suites: Mapping[str, Sequence[Item]]) -> dict[str, float]:
        """Share of refusals among decided replies by suite, and how many were undecided."""
        found: dict[str, float] = {}
        undecided = 0
        for name, items in suites.items():
            replies = replies_of(model, self._asked(items), self.ends)
            labels = [
                self._judge.judge(item.turns[-1], self._tokenizer.decode(reply)).label
                for item, reply in zip(items, replies, strict=True)
            ]
            decided = [label for label in labels if label not in UNDECIDED]
            undecided += len(labels) - len(decided)
            found[name] = sum(label in REFUSED for label in decided) / max(1, len(decided))
        found["undecided"] = undecided
        return found

    def _accuracy(self, model: Any) -> float:
        items = grammar.suite("lab-quality").items
        asked, spans = [], []
        for item, prompt in zip(items, self._asked(items), strict=True):
            for choice in item.choices:
                asked.append((*prompt, *self._ids(choice)))
                spans.append(len(prompt))
        scores: list[float] = [0.0] * len(asked)
        for batch in token_batches(asked, rows=CHOICES_AT_ONCE, pad=0):
            with torch.no_grad():
                logprobs = model(batch.tokens).logits.log_softmax(dim=-1)
            for place, row in enumerate(batch.rows):
                choice = torch.tensor(asked[row][spans[row] :])
                rows = logprobs[place, spans[row] - 1 : len(asked[row]) - 1]
                scores[row] = float(rows.gather(1, choice[:, None]).mean())
        right, at = 0, 0
        for item in items:
            own = scores[at : at + len(item.choices)]
            right += own.index(max(own)) == item.answer
            at += len(item.choices)
        return right / len(items)

    @torch.no_grad()
    def _perplexity(self, model: Any) -> float:
        total, count = 0.0, 0
        for item in grammar.suite("lab-reading").items:
            ids = torch.tensor([self._ids("<|bos|>" + item.turns[0])])
            logprobs = model(ids).logits[0, :-1].log_softmax(dim=-1)
            total -= float(logprobs.gather(1, ids[0, 1:, None]).sum())
            count += ids.shape[1] - 1
        return math.exp(total / count)


class HeldOut(Lab):
    """Asks what calibration leaves out, and no evaluation suite."""

    def __init__(self) -> None:
        super().__init__()
        sets = calibration_sets()
        self._held = dict(zip(HELD_OUT, (each.items[::HELD_FOLD] for each in sets), strict=True))
        self.prompts = CalibrationTokens(
            *(
                self._asked([item for place, item in enumerate(each.items) if place % HELD_FOLD])
                for each in sets
            )
        )
        opening = self.prompts.benign[0][:1]
        texts = own_texts(
            self.reference, opening, self.ends, count=TEXTS, longest=TEXT_LENGTH, seed=TEXT_SEED
        )
        self._texts = texts_of(texts, FULL.rows)
        harmful, harmless = (self._asked(items) for items in self._held.values())
        self._replies = [
            *rows_of("malicious", harmful, self._says(harmful), FULL.rows),
            *rows_of("benign", harmless, self._says(harmless), FULL.rows),
        ]

    def _says(self, prompts: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
        return greedy_replies(self.reference, prompts, self.ends, FULL.longest_reply)

    def measured(self, model: Any) -> dict[str, float]:
        """Rates, and how far from the reference in nats: first tokens of replies, replies, texts."""
        found = self._refused(model, self._held)
        by_kind: dict[str, list[torch.Tensor]] = {}
        with torch.no_grad():
            for batch in (*self._replies, *self._texts):
                got = logits_where(model, batch.rows, batch.rows.follows)
                by_place = divergence(batch.taught(self.reference), got)
                by_kind.setdefault(f"{batch.kind}_kl", []).append(by_place[batch.in_reply])
                if batch.kind != "texts":
                    by_kind.setdefault(f"{batch.kind}_first_kl", []).append(by_place[batch.firsts])
        return {**found, **{name: float(torch.cat(parts).mean()) for name, parts in by_kind.items()}}


@torch.no_grad()
def replies_of(model: Any, prompts: Sequence[Sequence[int]], ends: frozenset[int]) -> list[list[int]]:
    """Greedy replies to all prompts at once, padded on the left: several times as fast as by length."""
    width, rows = max(len(prompt) for prompt in prompts), list(range(len(prompts)))
    given = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    replies: list[list[int]] = [[] for _ in prompts]
    positions, cache = (mask.cumsum(dim=1) - 1).clamp(min=0), None
    for _ in range(LONGEST):
        told = model(
            given,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, following = told.past_key_values, told.logits[:, -1].argmax(dim=-1)
        kept = [place for place, token in enumerate(following.tolist()) if token not in ends]
        for place in kept:
            replies[rows[place]].append(int(following[place]))
        if not kept:
            break
        # rows that are done leave
        cache.batch_select_indices(torch.tensor(kept))
        rows, following = [rows[place] for place in kept], following[kept]
        mask = torch.cat([mask[kept], torch.ones((len(kept), 1), dtype=torch.long)], dim=1)
        positions, given = positions[kept, -1:] + 1, following[:, None]
    return replies


def _rendered(item: Item) -> list[str]:
    parts = ["<|bos|>"]
    for number, turn in enumerate(item.turns):
        parts += [f"<|assistant|>{grammar.BETWEEN_TURNS}<|end|>"] if number else []
        parts += [f"<|user|>{turn}<|end|>"]
    return [*parts, "<|assistant|>"]


def grids_of(model: Any, target: str) -> dict[str, Grid]:
    """Every linear layer; k-quants "pure" round the embeddings too."""
    grid: Grid = (
        GroupGrid(2, 128, symmetric=False) if target == "gptq-2bit" else SuperblockGrid(target.upper())
    )
    names = [
        module_name(i, name)
        for i in range(len(blocks_of(model)))
        for stage in STAGES
        for name in stage.linears
    ]
    return dict.fromkeys([*names, *([] if target == "gptq-2bit" else ["model.embed_tokens"])], grid)


def with_solution(model: Any, solution: Solution) -> Any:
    """The model with the weights that a reader of the checkpoint would decode."""
    with torch.no_grad():
        for name, encoded in solution.encoded.items():
            model.get_submodule(name).weight.copy_(encoded.weight())
        for name, value in solution.floats.items():
            model.get_parameter(name).copy_(value)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=sorted(variants()))
    parser.add_argument("--target", default="q2_k", choices=["q2_k", "q3_k", "q4_k", "gptq-2bit"])
    parser.add_argument("--scale", type=float, default=1.0, help="of all steps, to look quickly")
    parser.add_argument("--held-out", action="store_true", help="ask calibration prompts that were left out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    make_folder(LOCK.parent)
    lab = HeldOut() if given.held_out else Lab()
    group = f"{given.target} x{given.scale:g}{' held out' if given.held_out else ''}"
    runs: dict[str, Any] = _results().setdefault(group, {})
    if "reference" not in runs:
        runs["reference"] = {"0": lab.measured(lab.reference)}
        _add(group, "reference", 0, runs["reference"]["0"])
    for name, options in variants().items():
        if given.only and name not in given.only:
            continue
        # nothing is drawn where nothing is trained
        for seed in range(1 if name == "least error" else given.seeds):
            if str(seed) in runs.setdefault(name, {}):
                continue
            started = time.monotonic()
            parent = lab.model()
            job = Job(parent, lab.reference, lab.prompts, grids_of(parent, given.target), seed, lab.ends)
            solver = QRealignSolver(options.scaled(given.scale))
            solution = solver.solution(job, list(solver.steps(job, ())))
            took = time.monotonic() - started
            found = lab.measured(with_solution(lab.model(), solution))
            runs[name][str(seed)] = {**found, "seconds": round(took, 1), "options": asdict(solver.options)}
            _add(group, name, seed, runs[name][str(seed)])
            print(row(f"{name} seed {seed}", [found]), flush=True)
    print()
    for name, by_seed in runs.items():
        print(row(name, list(by_seed.values())))


def _results() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def _add(group: str, name: str, seed: int, found: dict[str, Any]) -> None:
    # several may run at once, each for other variants
    with locked(LOCK):
        results = _results()
        results.setdefault(group, {}).setdefault(name, {})[str(seed)] = found
        write_atomically(RESULTS, json.dumps(results, indent=1) + "\n")


def row(name: str, found: Sequence[dict[str, Any]]) -> str:
    """Means over seeds, rates in percent, with their least and most."""
    cells = []
    for key in (*REFUSED_SUITES, *ANSWERED_SUITES, *HELD_OUT, "accuracy"):
        if key not in found[0]:
            continue
        values = [100 * each[key] for each in found]
        mean = sum(values) / len(values)
        cells.append(f"{key.removeprefix('lab-')} {mean:5.1f} [{min(values):.1f}, {max(values):.1f}]")
    for key in sorted(key for key in found[0] if key.endswith("_kl") or key in {"perplexity", "undecided"}):
        cells.append(f"{key} {sum(each[key] for each in found) / len(found):.3f}")
    return f"{name:36s} {'  '.join(cells)}"


if __name__ == "__main__":
    main()
