"""The harnesses hold without a fuzzer: every target takes its seeds, and seeds that were cut and turned over."""

import random
from pathlib import Path

import pytest
from fuzz.seeds import write_seeds
from fuzz.targets import TARGETS, run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    counts = write_seeds(folder)
    assert set(counts) == set(TARGETS)
    assert all(counts.values()), {name for name, count in counts.items() if not count}
    return folder


def turned_over(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        if changed:
            at = draw.randrange(len(changed))
            match draw.randrange(4):
                case 0:
                    changed[at] = draw.randrange(256)
                case 1:
                    del changed[at : at + draw.randint(1, 16)]
                case 2:
                    changed[at:at] = changed[at : at + draw.randint(1, 32)]
                case _:
                    changed[at : at + 8] = draw.choice((b"\xff" * 8, b"\0" * 8, b"\0\0\0\0\0\0\0\x80"))
    return bytes(changed)


@pytest.mark.parametrize("name", TARGETS)
def test_target_takes_anything(name: str, corpus: Path) -> None:
    draw = random.Random(name)
    seeds = [path.read_bytes() for path in sorted((corpus / name).iterdir())]
    # as many on every machine; the campaign itself runs tens of thousands
    for seed in [b"", *draw.sample(seeds, min(len(seeds), 30))]:
        run(name, seed)
    for _ in range(60):
        run(name, turned_over(draw.choice(seeds), draw))
