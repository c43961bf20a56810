from attacks.gguf_builder import U32, GgufBuilder, Tensor
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.gguf.layout import Layout, lay_out, padded_from
from qaudit.static.gguf.walk import GgufWalk, TensorEntry
from qaudit.static.gguf.walking import walk_gguf


class Memory:
    name, local = "model.gguf", True

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def laid(tensors: list[TensorEntry], size: int, *, alignment: int = 32, start: int = 64) -> Layout:
    walk = GgufWalk("m.gguf", size, version=3, tensors=tensors, alignment=alignment, complete=True)
    walk.data_start, walk.header_end = start, start - 5
    return lay_out(walk)


def f32(name: str, offset: int, count: int) -> TensorEntry:
    return TensorEntry(name.encode(), (count,), 0, offset, 0)


def test_packed_tensors_leave_only_padding() -> None:
    layout = laid([f32("a", 0, 5), f32("b", 32, 8)], 128)
    assert (layout.packed, layout.exact) == (True, True)
    assert [(placed.start, placed.end) for placed in layout.placed] == [(64, 84), (96, 128)]
    assert [(span.kind, span.start, span.end) for span in layout.spans] == [
        ("padding", 59, 64),
        ("padding", 84, 96),
    ]


def test_gaps_and_what_trails() -> None:
    layout = laid([f32("a", 0, 8), f32("b", 96, 8)], 300)
    assert not layout.packed
    assert [(span.kind, span.start, span.end) for span in layout.spans[1:]] == [
        ("gap", 96, 160),
        ("trailing", 192, 300),
    ]


def test_a_file_that_ends_without_padding_is_whole() -> None:
    assert [span.kind for span in laid([f32("a", 0, 5)], 84).spans] == ["padding"]


def test_a_header_without_tensors_may_be_filled_up() -> None:
    assert [(span.kind, span.size) for span in laid([], 64, start=45).spans] == [("padding", 24)]
    assert [(span.kind, span.size) for span in laid([], 70, start=45).spans] == [
        ("padding", 24),
        ("trailing", 6),
    ]


def test_order_in_the_file_counts_for_gaps() -> None:
    layout = laid([f32("a", 32, 8), f32("b", 0, 8)], 128)
    assert not layout.packed
    assert [span.kind for span in layout.spans] == ["padding"]


def test_the_next_tensor_tells_which_reading_is_right() -> None:
    entries = [TensorEntry(b"a", (256, 8), 42, 0, 0), f32("b", 8 * 68, 8)]
    placed = laid(entries, 64 + 8 * 68 + 32).placed[0]
    assert placed.packing is not None
    assert (placed.packing.origin, placed.bytes) == ("prism", 8 * 68)
    entries[1] = f32("b", 8 * 72, 8)
    placed = laid(entries, 64 + 8 * 72 + 32).placed[0]
    assert placed.packing is not None
    assert (placed.packing.origin, placed.bytes) == ("ggml", 8 * 72)


def test_unknown_sizes_are_not_guessed() -> None:
    layout = laid([TensorEntry(b"a", (256,), 137, 0, 0), f32("b", 96, 8)], 192)
    assert not layout.exact
    assert layout.placed[0].bytes is None
    assert layout.expected == (0, None)
    assert [span.kind for span in layout.spans] == ["padding"]


def test_a_header_without_end_has_no_places() -> None:
    assert lay_out(GgufWalk("m.gguf", 10)) == Layout((), (), False, (), False)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.sampled_from([32, 64, 8]))
def test_what_the_builder_writes_is_packed(counts: list[int], alignment: int) -> None:
    tensors = [Tensor(f"t{i}", (count,), 0, bytes(4 * count)) for i, count in enumerate(counts)]
    pairs = [*GgufBuilder().pairs, ("general.alignment", U32, alignment)]
    data = GgufBuilder(pairs=pairs, tensors=tensors, alignment=alignment).build()
    layout = lay_out(walk_gguf(Memory(data)))
    assert layout.packed
    assert layout.exact
    assert {span.kind for span in layout.spans} <= {"padding"}


def test_padding_is_counted_from_where_data_starts() -> None:
    walk = GgufWalk("m.gguf", 100)
    walk.data_start, walk.alignment = 64, 32
    assert [padded_from(walk, at) for at in (3, 64, 65, 96)] == [64, 64, 96, 96]
