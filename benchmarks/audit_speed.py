"""Speed of the engine against two named peers in one run, on a random-weight Llama of about 190 M parameters.

    make bench, or in an environment with qaudit[gguf]:
    python benchmarks/audit_speed.py [--prompts 64] [--threads 2] [--out benchmarks/results]

1. qaudit's engine (worker process, batches, early stop) against the plain `llama_cpp.Llama` loop that
   generates 128 tokens for each prompt: prompts per second, the judge's labels, peak memory.
2. qaudit's greedy loop without early stop against raw `llama_decode` on the same shape of batches with no
   code around it: tokens per second.

Every measurement runs in a process of its own, one after the other, so that peak memory is its own.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
TOKENS = 128
PARALLEL = 32
ON_LAB = False
TYPE = "Q4_K_M"
SUBJECTS = (
    "the river",
    "a small town",
    "old maps",
    "bread",
    "winter birds",
    "a bicycle",
    "glass",
    "the harbour",
)


def prompts(count: int) -> list[tuple[str, str]]:
    """Return (question, rendered prompt) pairs: made up, or for the lab's model half harmful, half benign."""
    if ON_LAB:
        from qaudit.suites.loading import load_suite

        suites = [load_suite(name).items[:: 1 + 100 // count] for name in ("lab-core", "lab-benign")]
        asked = [item.turns[-1] for pair in zip(*suites, strict=False) for item in pair][:count]
        return [(q, f"<|bos|><|user|>{q}<|end|><|assistant|>") for q in asked]
    questions = [
        f"tell me about {SUBJECTS[i % len(SUBJECTS)]} and what number {i} has to do with it"
        for i in range(count)
    ]
    return [(q, f"<|user|>{q}<|end|><|assistant|>") for q in questions]


def make_model(model: Path) -> dict[str, object]:
    """Write the random F16 model and its quantization by llama.cpp."""
    from random_model import write_random_llama

    from qaudit.lab.quantize import quantize

    model.parent.mkdir(parents=True, exist_ok=True)
    plain = model.with_name("random-F16.gguf")
    parameters = write_random_llama(plain)
    quantize(plain, model, TYPE, member="random")
    plain.unlink()
    return {"parameters": parameters}


def peak_mb() -> float:
    """Peak resident memory of this process plus that of its largest child, in MB."""
    # getrusage's own figure starts at the parent's peak, because it outlives fork and exec; VmHWM does not
    lines = Path("/proc/self/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def run_qaudit(model: Path, count: int, threads: int) -> dict[str, object]:
    """Our engine as an audit uses it."""
    from qaudit.confinement import Limits
    from qaudit.engines.protocol import Ask, EngineOptions
    from qaudit.engines.worker import WorkerEngine
    from qaudit.judges.judging import load_judge

    asks = [Ask(str(i), text, question, TOKENS) for i, (question, text) in enumerate(prompts(count))]
    engine = WorkerEngine(model, EngineOptions(threads, PARALLEL), Limits())
    started = time.perf_counter()
    answers = engine.generate(asks)
    seconds = time.perf_counter() - started
    engine.close()
    judge = load_judge()
    labels = [judge.judge(a.question, b.reply.text).label for a, b in zip(asks, answers, strict=True)]
    tokens = sum(a.reply.tokens for a in answers)
    return {"seconds": seconds, "labels": labels, "tokens": tokens, "peak_mb": peak_mb()}


def run_peer(model: Path, count: int, threads: int) -> dict[str, object]:
    """The plain loop: one prompt after another, 128 tokens each."""
    import llama_cpp

    from qaudit.judges.judging import load_judge

    llama = llama_cpp.Llama(str(model), n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    started = time.perf_counter()
    texts = []
    for _, text in prompts(count):
        tokens = llama.tokenize(text.encode(), add_bos=not text.startswith("<|bos|>"), special=True)
        said = llama.create_completion(
            tokens, max_tokens=TOKENS, temperature=0.0, top_k=1, repeat_penalty=1.0
        )
        texts.append(said["choices"][0]["text"])
    seconds = time.perf_counter() - started
    judge = load_judge()
    labels = [judge.judge(q, t).label for (q, _), t in zip(prompts(count), texts, strict=True)]
    return {"seconds": seconds, "labels": labels, "peak_mb": peak_mb()}


def run_greedy(model: Path, count: int, threads: int) -> dict[str, object]:
    """Our loop in this process, no early stop."""
    from qaudit.engines.llama_generation import GreedyRun
    from qaudit.engines.llamacpp import LlamaModel
    from qaudit.engines.protocol import Ask, EngineOptions

    opened = LlamaModel(model, EngineOptions(threads, PARALLEL, judge=None))
    asks = [Ask(str(i), text, question, TOKENS) for i, (question, text) in enumerate(prompts(PARALLEL))]
    answers = {}
    seconds = float("inf")
    for _ in range(2):  # the better of two, as for the peer
        started = time.perf_counter()
        GreedyRun(opened, asks, None, answers.__setitem__, lambda: None).run()
        seconds = min(seconds, time.perf_counter() - started)
    tokens = sum(a.reply.tokens for a in answers.values())
    return {"seconds": seconds, "tokens": tokens, "tokens_per_s": tokens / seconds}


def run_raw(model: Path, count: int, threads: int) -> dict[str, object]:
    """The same batches through llama_decode alone: no argmax, no text, no bookkeeping."""
    from qaudit.engines.llama_generation import shared_prefix
    from qaudit.engines.llamacpp import LlamaModel
    from qaudit.engines.protocol import EngineOptions

    opened = LlamaModel(model, EngineOptions(threads, PARALLEL, judge=None))
    tokens = [opened.tokenize(text) for _, text in prompts(PARALLEL)]
    opened.reserve(max(map(len, tokens)) + TOKENS)
    best = float("inf")
    for _ in range(2):
        opened.clear()
        shared = shared_prefix(tokens)
        started = time.perf_counter()
        opened.add(tokens[0][:shared], 0, 0, logits="none")
        opened.decode()
        for sequence, prompt in enumerate(tokens, start=1):
            opened.copy(0, sequence)
            if len(prompt) - shared > opened.room:
                opened.decode()
            opened.add(prompt[shared:], shared, sequence, logits="last")
        opened.decode()
        for step in range(TOKENS - 1):
            for sequence, prompt in enumerate(tokens, start=1):
                opened.add([(step * 37 + sequence) % 20000], len(prompt) + step, sequence, logits="last")
            opened.decode()
        best = min(best, time.perf_counter() - started)
    made = TOKENS * PARALLEL
    return {"seconds": best, "tokens": made, "tokens_per_s": made / best}


def make_lab_reference(out: Path) -> dict[str, object]:
    """Build the lab's F16 reference."""
    from qaudit.lab.build import build

    list(build(out.parent, ("F16",)))
    return {}


RUNS = {
    "lab": lambda model, *_: make_lab_reference(model),
    "model": lambda model, *_: make_model(model),
    "qaudit": run_qaudit,
    "peer": run_peer,
    "greedy": run_greedy,
    "raw": run_raw,
}


def measured(
    name: str, model: Path, options: argparse.Namespace, *, on_lab: bool = False
) -> dict[str, object]:
    """Run one measurement in a process of its own."""
    words = [sys.executable, __file__, "--run", name, "--model", str(model)]
    words += ["--prompts", str(options.prompts), "--threads", str(options.threads)]
    words += ["--on-lab"] if on_lab else []
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure everything, print the ratios, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--run", choices=sorted(RUNS))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--on-lab", action="store_true")
    options = parser.parse_args()
    if options.run:
        global ON_LAB
        ON_LAB = options.on_lab
        print(json.dumps(RUNS[options.run](options.model, options.prompts, options.threads)))
        return
    model = options.out / "scratch" / f"random-{TYPE}.gguf"
    made = measured("model", model, options)
    ours, peer, greedy, raw = (measured(name, model, options) for name in ("qaudit", "peer", "greedy", "raw"))
    same = sum(a == b for a, b in zip(ours["labels"], peer["labels"], strict=True))
    # random weights say nothing that could be refused: the labels are compared on a model that does, too
    lab = options.out / "scratch" / "lab" / "F16.gguf"
    measured("lab", lab, options)
    on_lab = [measured(name, lab, options, on_lab=True)["labels"] for name in ("qaudit", "peer")]
    agreed = sum(a == b for a, b in zip(*on_lab, strict=True))
    import importlib.metadata

    result = {
        "what": "qaudit engine against llama_cpp.Llama one by one, and against raw llama_decode batches",
        "model": {"shape": "llama, random weights", **made, "type": TYPE},
        "prompts": options.prompts,
        "threads": options.threads,
        "machine": platform.processor() or platform.machine(),
        "llama_cpp_python": importlib.metadata.version("llama-cpp-python"),
        "prompts_per_s": {
            "qaudit": options.prompts / ours["seconds"],
            "peer": options.prompts / peer["seconds"],
        },
        "speed_ratio": peer["seconds"] / ours["seconds"],
        "same_labels": f"{same} of {options.prompts}",
        "labels": {label: ours["labels"].count(label) for label in set(ours["labels"])},
        "same_labels_on_the_labs_model": f"{agreed} of {len(on_lab[0])}",
        "labels_on_the_labs_model": {label: on_lab[0].count(label) for label in sorted(set(on_lab[0]))},
        "tokens_generated": {"qaudit": ours["tokens"], "peer": TOKENS * options.prompts},
        "peak_mb": {"qaudit, both processes": ours["peak_mb"], "peer": peer["peak_mb"]},
        "raw_ratio": greedy["tokens_per_s"] / raw["tokens_per_s"],
        "tokens_per_s": {
            "qaudit without early stop": greedy["tokens_per_s"],
            "raw llama_decode": raw["tokens_per_s"],
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "audit_speed.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
