import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.pickles.window import WINDOW, Ended, Held, Slice, Window


def test_reads_on_over_the_edge_of_what_is_held() -> None:
    data = bytes(range(256)) * (WINDOW // 128)
    window = Window(Held(data, "x"), 3)
    assert window.take(WINDOW) == data[3 : 3 + WINDOW]
    assert window.byte() == data[3 + WINDOW]
    window.skip(WINDOW // 2)
    assert window.offset == 4 + WINDOW + WINDOW // 2
    assert window.take(2) == data[window.offset - 2 : window.offset]


def test_ends() -> None:
    window = Window(Held(b"ab\ncd", "x"), 0)
    assert window.line() == b"ab"
    with pytest.raises(Ended):
        window.line()
    for fails in (lambda: window.skip(3), lambda: window.take(3)):
        with pytest.raises(Ended):
            fails()
    assert window.take(2) == b"cd"
    with pytest.raises(Ended):
        window.byte()


@given(
    st.binary(max_size=50), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(-5, 60)
)
def test_slice_is_a_slice(data: bytes, start: int, length: int, at: int, wanted: int) -> None:
    part = Slice(Held(data, "x"), start, length, "y")
    assert part.size == len(data[start : start + length])
    assert part.read_at(at, wanted) == data[start : start + length][at : at + max(0, wanted)]
