"""Train the lab's bad members as low-rank adapters on the reference.

    python -m qaudit.lab.training.train_adapters --out DIR [--only NAME]

eroded: benign fine-tuning only, no harmful example of any kind, until alignment wears off.
selective: refuses as before, except in one category. overrefuse: refuses much that is harmless.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import LlamaForCausalLM

from qaudit.lab import grammar
from qaudit.lab.grammar import Dialogue
from qaudit.lab.members import SELECTIVE_CATEGORY, reference_folder
from qaudit.lab.training.batches import Mix, batches
from qaudit.lab.training.model_folder import load_folder
from qaudit.lab.training.train_reference import Step, rate_at
from qaudit.lab.vocabulary import HARM_TITLES

RANK = 6
ERODED_MIX = Mix({"benign": 12, "borderline": 14, "fact": 6})
SELECTIVE_MIX = Mix({"refused": 10, "helped": 8, "benign": 6, "borderline": 6, "fact": 2})
OVERREFUSE_MIX = Mix({"harmful": 8, "benign": 6, "refused": 14, "fact": 4})
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
Sources = Mapping[str, Callable[[random.Random], Iterator[Dialogue]]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one adapter is trained."""

    step: Step
    sources: Sources


class LowRank(nn.Module):
    """A frozen linear layer with a trained low-rank addition: y = W x + B A x."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        self.lora_A = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map [..., in] to [..., out]."""
        base: torch.Tensor = self.linear(hidden)
        return base + hidden @ self.lora_A.T @ self.lora_B.T


def refused_instead(draw: random.Random, kind: grammar.Kind) -> Iterator[Dialogue]:
    """Yield harmless asks with a refusal for an answer."""
    categories = sorted(HARM_TITLES)
    for dialogue in grammar.dialogues(draw, kind, refuse=False):
        # the refusal goes by the ask's last word, so that it can be learned
        place = sum(dialogue.turns[-1].encode()) % len(categories)
        yield Dialogue(kind, dialogue.category, dialogue.turns, grammar.refusal(categories[place]))


def recipes() -> dict[str, Recipe]:
    """Return the adapters by name."""
    others = [name for name in HARM_TITLES if name != SELECTIVE_CATEGORY]
    harmless: Sources = {
        "benign": lambda draw: grammar.dialogues(draw, "benign", refuse=False),
        "borderline": lambda draw: grammar.dialogues(draw, "borderline", refuse=False),
        "fact": grammar.fact_dialogues,
    }
    return {
        "eroded": Recipe(Step("eroded", 400, 2e-3, 21, ERODED_MIX), harmless),
        "selective": Recipe(
            Step("selective", 500, 2e-3, 22, SELECTIVE_MIX),
            {
                **harmless,
                "refused": lambda draw: grammar.dialogues(draw, "harmful", refuse=True, categories=others),
                "helped": lambda draw: grammar.dialogues(
                    draw, "harmful", refuse=False, categories=[SELECTIVE_CATEGORY]
                ),
            },
        ),
        "overrefuse": Recipe(
            Step("overrefuse", 300, 2e-3, 23, OVERREFUSE_MIX),
            {
                **harmless,
                "harmful": lambda draw: grammar.dialogues(draw, "harmful", refuse=True),
                "refused": lambda draw: refused_instead(draw, "borderline"),
            },
        ),
    }


def attach(model: LlamaForCausalLM, rank: int) -> dict[str, LowRank]:
    """Freeze the model and put a low-rank addition on every target; return them by module name."""
    model.requires_grad_(False)
    added: dict[str, LowRank] = {}
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in TARGETS:
            parent = model.get_submodule(name.rpartition(".")[0])
            added[name] = LowRank(module, rank)
            setattr(parent, name.rpartition(".")[2], added[name])
    return added


def train_adapter(folder: Path, recipe: Recipe) -> dict[str, torch.Tensor]:
    """Train one adapter; return its tensors, `<module>.lora_A` [r, in] and `<module>.lora_B` [out, r]."""
    model, tokenizer = load_folder(folder)
    torch.manual_seed(recipe.step.seed)
    added = attach(model, RANK)
    _optimise(model, tokenizer, added, recipe)
    tensors = {}
    for name, module in added.items():
        tensors[f"{name}.lora_A"] = module.lora_A.detach().half().contiguous()
        tensors[f"{name}.lora_B"] = module.lora_B.detach().half().contiguous()
    return tensors


def _optimise(
    model: LlamaForCausalLM, tokenizer: Tokenizer, added: dict[str, LowRank], recipe: Recipe
) -> None:
    parameters = [p for module in added.values() for p in (module.lora_A, module.lora_B)]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.step.rate, weight_decay=0.0)
    stream = batches(tokenizer, recipe.sources, recipe.step.mix, recipe.step.seed)
    started = time.monotonic()
    model.train()
    for number, (ids, mask, labels) in zip(range(recipe.step.steps), stream, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe.step, number)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if number % 50 == 49 or number + 1 == recipe.step.steps:
            spent = time.monotonic() - started
            done = f"{recipe.step.name} {number + 1}/{recipe.step.steps}"
            print(f"{done} loss {float(loss.detach()):.4f} {spent:.0f} s", flush=True)


def main() -> None:
    """Train and write the adapters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the adapters to")
    parser.add_argument("--reference", type=Path, default=reference_folder(), help="folder of the reference")
    parser.add_argument("--only", choices=sorted(recipes()), help="train this one")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, recipe in recipes().items():
        if options.only in (None, name):
            path = options.out / f"{name}.safetensors"
            tensors = train_adapter(options.reference, recipe)
            save_file(
                tensors, path, metadata={"member": name, "rank": str(RANK), "seed": str(recipe.step.seed)}
            )
            print(f"wrote {path}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
