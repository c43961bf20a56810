from qaudit.checkpoints.raw_tensors import BITS as READ
from qaudit.static.tensors.dtypes import BITS, EIGHT_BIT_FLOATS, FLOATS, NEWER, SCALE_FLOATS


def test_agrees_with_the_reader_of_checkpoints() -> None:
    assert {name: bits for name, bits in BITS.items() if name in READ} == READ
    assert set(BITS) - set(READ) == {"F8_E4M3FNUZ", "F8_E5M2FNUZ"}


def test_the_sets_name_known_types() -> None:
    for group in (NEWER, FLOATS, SCALE_FLOATS, EIGHT_BIT_FLOATS):
        assert group <= set(BITS)
    assert all(BITS[name] == 8 for name in EIGHT_BIT_FLOATS)
