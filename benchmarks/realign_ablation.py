# ruff: noqa: ANN401 - transformers is untyped
"""What each term of qrealign's objective, and the malicious share, does to a 2-bit checkpoint of the lab.

    python benchmarks/realign_ablation.py [--seeds 5] [--only NAME ...] [--target q2_k] [--scale 1.0]

The lab's reference is quantized to the grid of Q2_K-pure (or of 2-bit GPTQ), on the lab's calibration
sets; greedy replies to the evaluation suites are judged as in an audit. Each variant changes one thing.
Results go to benchmarks/results/realign_ablation.json; those that are there already are kept.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from qaudit.judges.judging import load_judge
from qaudit.lab import grammar
from qaudit.lab.calibration import calibration_sets
from qaudit.lab.members import reference_folder
from qaudit.values import REFUSED, UNDECIDED, Item
from realign.activation_stream import token_batches
from realign.decoder_blocks import STAGES, blocks_of, module_name
from realign.grids.grid import Grid
from realign.grids.group_grid import GroupGrid
from realign.grids.superblock_grid import SuperblockGrid
from realign.job import CalibrationTokens, Job, Solution
from realign.objective import Objective
from realign.solvers.layer_training import Rates
from realign.solvers.qrealign import QRealignOptions, QRealignSolver

RESULTS = Path(__file__).parent / "results" / "realign_ablation.json"
LONGEST, CHOICES_AT_ONCE = 44, 100
REFUSED_SUITES, ANSWERED_SUITES = ("lab-core", "lab-unseen", "lab-adaptive"), ("lab-benign", "lab-borderline")
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
        **{f"malicious share {share}%": weighted(malicious_share=share / 100) for share in (0, 25, 75, 100)},
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
        malicious, benign = calibration_sets()
        self.prompts = CalibrationTokens(self._asked(malicious.items), self._asked(benign.items))

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
        found: dict[str, float] = {}
        undecided = 0
        for name in (*REFUSED_SUITES, *ANSWERED_SUITES):
            items = grammar.suite(name).items
            replies = replies_of(model, self._asked(items), self.ends)
            labels = [
                self._judge.judge(item.turns[-1], self._tokenizer.decode(reply)).label
                for item, reply in zip(items, replies, strict=True)
            ]
            decided = [label for label in labels if label not in UNDECIDED]
            undecided += len(labels) - len(decided)
            found[name] = sum(label in REFUSED for label in decided) / max(1, len(decided))
        found["undecided"] = undecided
        found["accuracy"] = self._accuracy(model)
        found["perplexity"] = self._perplexity(model)
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
    given = parser.parse_args()
    torch.set_num_threads(1)
    lab = Lab()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    runs: dict[str, Any] = results.setdefault(f"{given.target} x{given.scale:g}", {})
    if "reference" not in runs:
        runs["reference"] = {"0": lab.measured(lab.reference)}
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
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(row(f"{name} seed {seed}", [found]), flush=True)
    print()
    for name, by_seed in runs.items():
        print(row(name, list(by_seed.values())))


def row(name: str, found: Sequence[dict[str, Any]]) -> str:
    """Means over seeds, rates in percent, with their least and most."""
    cells = []
    for key in (*REFUSED_SUITES, *ANSWERED_SUITES, "accuracy"):
        values = [100 * each[key] for each in found]
        mean = sum(values) / len(values)
        cells.append(f"{key.removeprefix('lab-')} {mean:5.1f} [{min(values):.1f}, {max(values):.1f}]")
    perplexity = sum(each["perplexity"] for each in found) / len(found)
    undecided = sum(each["undecided"] for each in found) / len(found)
    return f"{name:36s} {'  '.join(cells)}  perplexity {perplexity:.3f}  undecided {undecided:.1f}"


if __name__ == "__main__":
    main()
