"""How fast `qaudit inspect --hash` takes SHA-256, against openssl, and whether shards are hashed side by side.

    python benchmarks/hashing_speed.py [--gigabytes 2] [--folder .] [--rounds 5] [--json FILE]

One file of random bytes is hashed by `openssl dgst -sha256` and by our own `hash_all`, in turns, each bound to
the same one processor and each after the file was read once (it is about hashing, not about the disk); then
the same bytes as two shards, on one processor and on two. A speed is openssl's time over ours, by processor
time and by the clock; the clock counts only on a machine that does nothing else.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = 1 << 24
# the look itself is left out: what it costs does not grow with the file
OURS = (
    "import sys; from pathlib import Path; from qaudit.static.surveying import survey;"
    "from qaudit.static.hashing import hash_all; problems = [];"
    "found = hash_all(survey(Path(sys.argv[1])).entries, problems); assert not problems;"
    "print(*(digest.sha256 for digest in found))"
)


def written(path: Path, size: int) -> None:
    """Write random bytes, so that no file system keeps holes or repetitions apart from the rest."""
    block = bytearray(os.urandom(BLOCK))
    with path.open("wb") as stream:
        for number in range(-(-size // BLOCK)):
            block[:8] = number.to_bytes(8, "little")
            stream.write(block[: min(BLOCK, size - number * BLOCK)])


def split(path: Path, folder: Path) -> Path:
    """The same bytes as the two shards of a folder."""
    folder.mkdir()
    half = path.stat().st_size // 2
    with path.open("rb") as stream:
        for number, length in ((1, half), (2, path.stat().st_size - half)):
            with (folder / f"model-{number:05d}-of-00002.gguf").open("wb") as shard:
                while length:
                    data = stream.read(min(BLOCK, length))
                    shard.write(data)
                    length -= len(data)
    return folder


def timed(command: list[str], processors: set[int]) -> tuple[float, float, str]:
    """Processor time and time by the clock of a command that may use these processors, and what it printed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )  # fmt: skip
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used, wall, done.stdout.strip()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--gigabytes", type=float, default=2.0)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument(
        "--folder", type=Path, default=None, help="where the file is put (default: the temporary folder)"
    )
    words.add_argument("--json", type=Path, default=None)
    asked = words.parse_args()
    openssl = shutil.which("openssl")
    assert openssl, "openssl is not installed"
    usable = sorted(os.sched_getaffinity(0))
    one, two = {usable[0]}, set(usable[:2])
    with tempfile.TemporaryDirectory(prefix="qaudit-hashing-", dir=asked.folder) as name:
        whole = Path(name) / "model.gguf"
        written(whole, int(asked.gigabytes * 1e9))
        shards = split(whole, Path(name) / "shards")
        empty = Path(name) / "empty"
        empty.touch()
        ours = [sys.executable, "-c", OURS]
        runs = {
            "openssl": ([openssl, "dgst", "-sha256", "-r", str(whole)], one),
            "qaudit": ([*ours, str(whole)], one),
            "start": ([*ours, str(empty)], one),
            "two shards, one processor": ([*ours, str(shards)], one),
            "two shards, two processors": ([*ours, str(shards)], two),
        }
        taken: dict[str, list[tuple[float, float]]] = {key: [] for key in runs}
        for number in range(asked.rounds + 1):
            said = {}
            for key, (command, processors) in runs.items():
                used, wall, said[key] = timed(command, processors)
                if number:
                    taken[key].append((used, wall))
            assert said["qaudit"] == said["openssl"].split()[0], "the digests differ"
    used = {key: statistics.median(pair[0] for pair in pairs) for key, pairs in taken.items()}
    wall = {key: statistics.median(pair[1] for pair in pairs) for key, pairs in taken.items()}
    result = {
        "gigabytes": asked.gigabytes,
        "rounds": asked.rounds,
        "processors": len(usable),
        "processor_s": {key: round(value, 3) for key, value in used.items()},
        "wall_s": {key: round(value, 3) for key, value in wall.items()},
        "speed_of_openssl": {
            "processor": round(used["openssl"] / used["qaudit"], 3),
            "processor_without_start": round(used["openssl"] / (used["qaudit"] - used["start"]), 3),
            "wall": round(wall["openssl"] / wall["qaudit"], 3),
            "wall_without_start": round(wall["openssl"] / (wall["qaudit"] - wall["start"]), 3),
        },
        "two_processors_for_two_shards": round(
            wall["two shards, one processor"] / wall["two shards, two processors"], 2
        ),
    }
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
