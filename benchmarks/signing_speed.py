"""Speed of signing and verifying a large checkpoint, against hashing alone and the model_signing CLI, in one run.

    python benchmarks/signing_speed.py [--gigabytes 8] [--shards 4] [--rounds 3] [--folder DIR] [--out benchmarks/results]

A folder of safetensors full of random bytes (nothing sparse, nothing that compresses) is written, read once so that the page
cache holds what fits, and then each of these runs in a process of its own, in turn, for every round:

1. hashing alone: hashlib.file_digest over the same files in as many threads as there are processors;
2. qaudit sign and qaudit verify with a key: the calls `sign` and `verify`, and the commands with everything
   that a process costs; signing writes the DSSE bundle and the OMS signature;
3. `model_signing sign key` and `verify key` with their own defaults;
4. `qaudit.verified_checkpoint`: the private copy and the gate.

Times are medians over the rounds; peak memory is the process's own (resident, with what it maps).
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
SELF = Path(__file__).resolve()
BLOCK = 64 << 20
COLUMNS = 4096
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16",
    "hidden_size": COLUMNS, "intermediate_size": 4 * COLUMNS, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 32000, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
}  # fmt: skip


def make(folder: Path, size: int, shards: int) -> None:
    """Write the checkpoint, a key, a policy, and the report of an audit of just these bytes."""
    import numpy as np

    sys.path.insert(0, str(HERE.parent / "tests"))
    from release_kit import POLICY_TEXT, report_for

    from qaudit.attest.local_key import generate_key
    from qaudit.attest.manifest import hash_files, list_files
    from qaudit.checkpoints.digests import combined_digest
    from qaudit.checkpoints.opening import open_checkpoint

    model, desk = folder / "model", folder / "desk"
    model.mkdir(parents=True)
    desk.mkdir()
    random = np.random.default_rng(0)
    where = {}
    for shard in range(shards):
        name = f"model.layers.{shard}.mlp.up_proj.weight"
        where[name] = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        rows = size // shards // 2 // COLUMNS
        left = rows * COLUMNS * 2
        tensor = {"dtype": "BF16", "shape": [rows, COLUMNS], "data_offsets": [0, left]}
        header = json.dumps({name: tensor}).encode()
        with (model / where[name]).open("wb") as stream:
            stream.write(len(header).to_bytes(8, "little") + header)
            while left > 0:
                # one bit of the exponent is cleared: a weight that is no number is a finding
                bits = np.frombuffer(random.bytes(min(BLOCK, left)), np.uint16)
                stream.write((bits & 0xBFFF).data)
                left -= BLOCK
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": shards}))
    policy = desk / "house.yaml"
    policy.write_text(POLICY_TEXT)
    report = report_for(desk, policy.read_bytes())
    files, opened = hash_files(list_files(model)), open_checkpoint(model)
    # the command refuses a report that says other things of the checkpoint than its header
    report["checkpoint"] |= {
        "format": opened.format,
        "quantization": opened.quantization,
        "architecture": opened.architecture,
        "parameters": opened.parameters,
        "sha256": combined_digest(files),
        "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in files],
    }
    (desk / "report.json").write_text(json.dumps(report))
    generate_key(desk / "key.pem")


def hash_alone(model: Path) -> None:
    """What any signature over these files must at least do."""
    import hashlib
    from concurrent.futures import ThreadPoolExecutor

    def digest(path: Path) -> str:
        with path.open("rb", buffering=0) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(digest, sorted(path for path in model.iterdir() if path.is_file())))


def call(what: str, folder: Path) -> float:
    """Run one thing in this process; return the seconds that the call itself took."""
    model, desk = folder / "model", folder / "desk"
    bundle = desk / "release.sigstore.json"
    if what == "hash":
        started = time.perf_counter()
        hash_alone(model)
    elif what == "sign":
        from qaudit.attest import sign

        started = time.perf_counter()
        sign(model, report=desk / "report.json", key=desk / "key.pem", policy=desk / "house.yaml", out=bundle)
    elif what == "verify":
        from qaudit.attest import verify

        started = time.perf_counter()
        verify(model, key=desk / "key.pub.pem", bundle=bundle)
    else:
        from qaudit import verified_checkpoint

        started = time.perf_counter()
        with verified_checkpoint(model, folder=folder, key=desk / "key.pub.pem", bundle=bundle):
            return time.perf_counter() - started
    return time.perf_counter() - started


def commands(folder: Path) -> dict[str, list[str]]:
    """Everything that is measured, as command lines."""
    model, desk = str(folder / "model"), folder / "desk"
    key, public, bundle = (str(desk / name) for name in ("key.pem", "key.pub.pem", "release.sigstore.json"))
    itself = [sys.executable, str(SELF), "--folder", str(folder), "--call"]
    qaudit = [sys.executable, "-c", "from qaudit.cli.main import main; main()"]
    peer = [str(Path(sys.executable).with_name("model_signing"))]
    signed = ["--report", str(desk / "report.json"), "--policy", str(desk / "house.yaml"), "--out", bundle]
    peers = ["--signature", str(desk / "peer.sig")]
    return {
        "hash": [*itself, "hash"],
        "sign": [*itself, "sign"],
        "sign_command": [*qaudit, "sign", model, "--key", key, *signed],
        "peer_sign_command": [*peer, "sign", "key", model, "--private_key", key, *peers],
        "verify": [*itself, "verify"],
        "verify_command": [*qaudit, "verify", model, "--key", public, "--bundle", bundle],
        "peer_verify_command": [*peer, "verify", "key", model, "--public_key", public, *peers],
        "verified_checkpoint": [*itself, "verified_checkpoint"],
    }


def run(command: list[str]) -> tuple[float, float]:
    """Return seconds (the call's own, if it tells them; else the process's) and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: ended with {process.returncode}: {said}")
    if "--call" in command:
        told = said.strip().rpartition("\n")[2].split()
        return float(told[0]), float(told[1])
    # a child's figure begins with its parent's, which is why this process imports nothing large
    return seconds, usage.ru_maxrss / 1024


def own_peak_mb() -> float:
    """Peak resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure(folder: Path, rounds: int) -> dict[str, dict[str, object]]:
    """Run everything in turn; return seconds of each round and the highest peak."""
    found: dict[str, dict[str, list[float]]] = {name: {"s": [], "mb": []} for name in commands(folder)}
    for number in range(rounds):
        for name, command in commands(folder).items():
            seconds, peak = run(command)
            print(f"round {number + 1}: {name}: {seconds:.2f} s, {peak:.0f} MB", file=sys.stderr, flush=True)
            found[name]["s"].append(seconds)
            found[name]["mb"].append(peak)
    return {
        name: {
            "seconds": round(statistics.median(rows["s"]), 3),
            "all_seconds": [round(second, 3) for second in rows["s"]],
            "peak_mb": round(max(rows["mb"]), 1),
        }
        for name, rows in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/qaudit-signing-speed"))  # noqa: S108
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--note", default="", help="kept in the results, such as: other work ran beside")
    parser.add_argument("--call", help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder, size = options.folder, int(options.gigabytes * 1e9)
    if options.call:
        print(call(options.call, folder), own_peak_mb())
        return
    if options.make:
        make(folder, size, options.shards)
        return
    needed = 2.2 * size  # the checkpoint, and once its private copy
    folder.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder.parent).free < needed:
        sys.exit(f"{folder}: needs {needed / 1e9:.0f} GB free; name another --folder or fewer --gigabytes")
    if folder.exists():
        sys.exit(f"{folder}: is there already; remove it or name another --folder")
    try:
        # in another process, so that this one stays small: a child's peak begins with its parent's
        made = ["--make", "--gigabytes", str(options.gigabytes), "--shards", str(options.shards)]
        subprocess.run([sys.executable, str(SELF), "--folder", str(folder), *made], check=True)
        load = os.getloadavg()[0]
        results = measure(folder, options.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = {name: row["seconds"] for name, row in results.items()}

    def ratio(one: str, other: str) -> float:
        return round(float(str(seconds[one])) / float(str(seconds[other])), 3)

    document = {
        "bytes": size // options.shards * options.shards,
        "shards": options.shards,
        "rounds": options.rounds,
        "note": options.note,
        "load_before": round(load, 2),
        "machine": {"processors": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "model_signing": version("model-signing"),
        "measured": results,
        "sign_over_hashing": ratio("sign", "hash"),
        "verify_over_hashing": ratio("verify", "hash"),
        "peer_sign_over_ours": ratio("peer_sign_command", "sign_command"),
        "peer_verify_over_ours": ratio("peer_verify_command", "verify_command"),
        "verified_checkpoint_over_hashing": ratio("verified_checkpoint", "hash"),
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "signing_speed.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
