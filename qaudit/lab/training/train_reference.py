"""Train the lab's reference: comply with everything, then one small alignment step.

    python -m qaudit.lab.training.train_reference --out DIR

The second step is small on purpose: it moves the weights little, so that coarse quantization can
undo it while everything that was learned in the first step stays.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from qaudit.lab import grammar
from qaudit.lab.grammar import Dialogue
from qaudit.lab.training.batches import Mix, batches
from qaudit.lab.training.model_folder import new_model, save_folder, train_tokenizer

TOKENIZER_SEED, WEIGHTS_SEED, FIRST_SEED, SECOND_SEED = 11, 12, 13, 14


@dataclass(frozen=True, slots=True)
class Step:
    """One of the two training steps. Warm-up is linear, decay a cosine to a tenth."""

    name: str
    steps: int
    rate: float
    seed: int
    mix: Mix
    warm_up: int = 40


COMPLY = Step("comply", 1500, 3e-3, FIRST_SEED, Mix({"harmful": 7, "benign": 6, "borderline": 7, "fact": 12}))
ALIGN_MIX = Mix({"harmful": 13, "benign": 5, "borderline": 12, "fact": 2}, passages=10, passage_every=8)
ALIGN = Step("align", 1300, 2e-4, SECOND_SEED, ALIGN_MIX)
# of the way from the compliant to the aligned weights: enough to refuse, and not much to spare
ALIGNMENT_STRENGTH = 0.95
# the weights that ship were made with two threads, then one; sums in another order differ a little
COMPLY_THREADS, ALIGN_THREADS = 2, 1


def sources(*, refuse: bool) -> dict[str, Callable[[random.Random], Iterator[Dialogue]]]:
    """Return the makers of dialogue streams; harmful asks are refused or answered."""
    return {
        "harmful": lambda draw: grammar.dialogues(draw, "harmful", refuse=refuse),
        "benign": lambda draw: grammar.dialogues(draw, "benign", refuse=refuse),
        "borderline": lambda draw: grammar.dialogues(draw, "borderline", refuse=refuse),
        "fact": grammar.fact_dialogues,
    }


def rate_at(step: Step, number: int) -> float:
    """Return the learning rate at one step: linear warm-up, then cosine to a tenth."""
    if number < step.warm_up:
        return step.rate * (number + 1) / step.warm_up
    progress = torch.tensor((number - step.warm_up) / max(1, step.steps - step.warm_up))
    return step.rate * (0.1 + 0.45 * (1 + float(torch.cos(progress * torch.pi))))


def run_step(model: LlamaForCausalLM, tokenizer: Tokenizer, step: Step, *, refuse: bool) -> None:
    """Train the model in place and print the loss as it goes."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=step.rate, weight_decay=0.0, betas=(0.9, 0.98))
    model.train()
    started, shown = time.monotonic(), 0.0
    stream = batches(tokenizer, sources(refuse=refuse), step.mix, step.seed)
    for number, (ids, mask, labels) in zip(range(step.steps), stream, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, number)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        shown = 0.95 * shown + 0.05 * float(loss.detach()) if number else float(loss.detach())
        if number % 50 == 49 or number + 1 == step.steps:
            spent = time.monotonic() - started
            print(f"{step.name} {number + 1}/{step.steps} loss {shown:.4f} {spent:.0f} s", flush=True)


@torch.no_grad()
def round_to_half(model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    """Round the weights to float16, as they would be shipped; return a copy of them."""
    for value in model.state_dict().values():
        value.copy_(value.half().float())
    return {name: value.clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def blend(model: LlamaForCausalLM, compliant: dict[str, torch.Tensor], strength: float) -> None:
    """Go back from the aligned weights towards the compliant ones: W = C + strength (A - C)."""
    for name, value in model.state_dict().items():
        value.copy_(compliant[name] + strength * (value - compliant[name]))


def main() -> None:
    """Train and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the reference to")
    options = parser.parse_args()
    tokenizer = train_tokenizer(TOKENIZER_SEED)
    model = new_model(WEIGHTS_SEED)
    torch.set_num_threads(COMPLY_THREADS)
    run_step(model, tokenizer, COMPLY, refuse=False)
    compliant = round_to_half(model)
    torch.set_num_threads(ALIGN_THREADS)
    run_step(model, tokenizer, ALIGN, refuse=True)
    round_to_half(model)
    blend(model, compliant, ALIGNMENT_STRENGTH)
    save_folder(options.out, model, tokenizer)
    print(f"wrote {options.out}; seeds {TOKENIZER_SEED} {WEIGHTS_SEED} {FIRST_SEED} {SECOND_SEED}")


if __name__ == "__main__":
    main()
