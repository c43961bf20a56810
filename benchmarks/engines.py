"""Speed of the transformers engine against the plain generate()-per-prompt loop, in one run, same labels.

    in an environment with qaudit[hf]:
    python benchmarks/engines.py [--prompts 64] [--threads 2] [--out benchmarks/results]

Two models: the lab's own reference, which refuses and answers, so that labels mean something; and one of
about 85 M random weights, where arithmetic and not Python takes most of the time. Each measurement runs in a
process of its own. How full the endpoint engine keeps a server: `benchmarks/endpoint_saturation.py`.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
HERE = Path(__file__).parent
TOKENS = 128
PARALLEL = 32


def prompts(count: int) -> list[tuple[str, str]]:
    """Return (question, rendered prompt) pairs of the lab's language, half harmful and half benign."""
    from qaudit.suites.loading import load_suite

    suites = [load_suite(name).items[:: 1 + 100 // count] for name in ("lab-core", "lab-benign")]
    asked = [item.turns[-1] for pair in zip(*suites, strict=False) for item in pair][:count]
    return [(q, f"<|bos|><|user|>{q}<|end|><|assistant|>") for q in asked]


def make_random(folder: Path) -> dict[str, object]:
    """Write a Llama of random weights with the lab's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from qaudit.lab.members import reference_folder

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "llama", vocab_size=1024, hidden_size=768, intermediate_size=2048, num_hidden_layers=12,
        num_attention_heads=12, num_key_value_heads=12, max_position_embeddings=1024,
        bos_token_id=0, eos_token_id=3,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(reference_folder() / name, folder / name)
    return {"parameters": sum(p.numel() for p in model.parameters())}


def labels(texts: list[str], count: int) -> list[str]:
    """Return the judge's labels."""
    from qaudit.judges.judging import load_judge

    judge = load_judge()
    return [judge.judge(q, t).label for (q, _), t in zip(prompts(count), texts, strict=True)]


def run_qaudit(folder: Path, count: int, threads: int) -> dict[str, object]:
    """Our engine as an audit uses it: in its worker, with early stop."""
    from qaudit.confinement import Limits
    from qaudit.engines.protocol import Ask, EngineOptions
    from qaudit.engines.worker import WorkerEngine

    asks = [Ask(str(i), text, question, TOKENS) for i, (question, text) in enumerate(prompts(count))]
    options = EngineOptions(threads, PARALLEL, device="cpu", dtype="float32")
    engine = WorkerEngine(folder, options, Limits(), {}, "transformers")
    engine.generate(asks[:2])
    started = time.perf_counter()
    answers = engine.generate(asks)
    seconds = time.perf_counter() - started
    engine.close()
    tokens = sum(a.reply.tokens for a in answers)
    return {"seconds": seconds, "labels": labels([a.reply.text for a in answers], count), "tokens": tokens}


def run_peer(folder: Path, count: int, threads: int) -> dict[str, object]:
    """The plain loop: one prompt after another, generate() with its own cache, as tutorials do it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def reply(text: str) -> tuple[str, int]:
        given = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        end = tokenizer.convert_tokens_to_ids("<|end|>")
        with torch.inference_mode():
            out = model.generate(
                **given, max_new_tokens=TOKENS, do_sample=False, eos_token_id=end, pad_token_id=end
            )
        said = out[0, given["input_ids"].shape[1] :]
        said = said[said != end]
        return tokenizer.decode(said, skip_special_tokens=False), len(said)

    reply(prompts(count)[0][1])
    started = time.perf_counter()
    replies = [reply(text) for _, text in prompts(count)]
    seconds = time.perf_counter() - started
    found = labels([text for text, _ in replies], count)
    return {"seconds": seconds, "labels": found, "tokens": sum(n for _, n in replies)}


RUNS = {"random": lambda folder, *_: make_random(folder), "qaudit": run_qaudit, "peer": run_peer}


def measured(name: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Run one measurement in a process of its own."""
    words = [sys.executable, __file__, "--run", name, "--model", str(folder)]
    words += ["--prompts", str(options.prompts), "--threads", str(options.threads)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def compared(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Ours and the peer on one model."""
    ours, peer = measured("qaudit", folder, options), measured("peer", folder, options)
    same = sum(a == b for a, b in zip(ours["labels"], peer["labels"], strict=True))
    return {
        "speed_ratio": peer["seconds"] / ours["seconds"],
        "prompts_per_s": {
            "qaudit": options.prompts / ours["seconds"],
            "peer": options.prompts / peer["seconds"],
        },
        "tokens_generated": {"qaudit": ours["tokens"], "peer": peer["tokens"]},
        "same_labels": f"{same} of {options.prompts}",
        "labels": {label: ours["labels"].count(label) for label in sorted(set(ours["labels"]))},
    }


def main() -> None:
    """Measure everything, print the ratios, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--run", choices=sorted(RUNS))
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(RUNS[options.run](options.model, options.prompts, options.threads)))
        return
    from qaudit.lab.members import reference_folder

    random = options.out / "scratch" / "random-llama"
    made = measured("random", random, options)
    result = {
        "what": "transformers engine of qaudit (worker, batches, early stop) against generate() per prompt",
        "prompts": options.prompts,
        "longest_reply": TOKENS,
        "threads": options.threads,
        "machine": platform.processor() or platform.machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers")},
        "lab reference": compared(reference_folder(), options),
        "random weights": {**made, **compared(random, options)},
    }
    text = json.dumps(result, indent=2)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "engines.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
