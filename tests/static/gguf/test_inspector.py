from pathlib import Path

import pytest
from attacks.gguf_builder import STRING, GgufBuilder, Tensor
from attacks.honest_models import honest_gguf

from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case
from qaudit.static.gguf.inspector import inspect_gguf
from qaudit.static.model_parts import Examined
from qaudit.values import Surface


class Far(LocalBytes):
    """A file of which only what was read is counted, as on a hub."""

    local = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.fetched = 0

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        self.fetched += len(data)
        return data


def inspected(path: Path, data: bytes) -> Examined:
    path.write_bytes(data)
    with LocalBytes(path) as source:
        return inspect_gguf(source, Case())


def grave(examined: Examined) -> list[tuple[str, str]]:
    return [(f.id, f.evidence) for f in examined.findings if f.severity != "info"]


def test_an_honest_model(tmp_path: Path) -> None:
    examined = inspected(
        tmp_path / "m.gguf", honest_gguf({"tokenizer.chat_template": (STRING, "{{ messages }}")}).build()
    )
    assert grave(examined) == []
    assert examined.surfaces == [
        Surface("m.gguf", "gguf", "examined"),
        Surface("m.gguf", "weights", "examined"),
    ]
    assert examined.parts is not None
    assert len(examined.parts.templates) == 1


@pytest.mark.parametrize(
    ("data", "state", "kind", "why"),
    [
        (b"tjgg" + bytes(60), "skipped", "ggml", "before GGUF"),
        (honest_gguf().build()[:400], "partial", "gguf", "at byte"),
        (GgufBuilder(pair_count=1 << 50).build(), "partial", "gguf", "keys declared"),
        (
            GgufBuilder(tensors=[Tensor("a", (256,), 137, bytes(96))]).build(),
            "partial",
            "gguf",
            "sizes of some",
        ),
        (honest_gguf(tail=b"x" * (5 << 20)).build(), "partial", "gguf", "outside of tensors were not read"),
    ],
)
def test_what_was_not_looked_at_is_said(tmp_path: Path, data: bytes, state: str, kind: str, why: str) -> None:
    surface = inspected(tmp_path / "m.gguf", data).surfaces[0]
    assert (surface.state, surface.kind) == (state, kind)
    assert why in surface.why


def test_of_a_file_far_away_little_is_fetched(tmp_path: Path) -> None:
    builder = honest_gguf()
    builder.tensors.append(Tensor("blk.0.far.weight", (1 << 20, 2), 0, bytes(8 << 20)))
    path = tmp_path / "m.gguf"
    path.write_bytes(builder.build())
    with Far(path) as source:
        examined = inspect_gguf(source, Case(deep=True))
    assert grave(examined) == []
    assert source.fetched < 400_000
    assert [(s.kind, s.state) for s in examined.surfaces] == [("gguf", "examined"), ("weights", "skipped")]


def test_deep_reads_the_values(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(honest_gguf().build())
    with LocalBytes(path) as source:
        examined = inspect_gguf(source, Case(deep=True))
    assert grave(examined) == []
    assert [s.state for s in examined.surfaces if s.kind == "weights"] == ["examined"]
