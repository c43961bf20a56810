"""Our table against the interpreter's own."""

import pickletools

from qaudit.static.pickles.opcodes import OPCODES


def test_every_opcode_of_the_interpreter_is_known() -> None:
    assert {ord(opcode.code): opcode.name for opcode in pickletools.opcodes} == {
        code: name for code, (name, _) in OPCODES.items()
    }


def test_layouts_hold_as_many_bytes_as_the_interpreter_reads() -> None:
    expected = {
        None: "none", "uint1": "u1", "uint2": "u2", "int4": "i4", "uint4": "u4", "uint8": "u8", "float8": "f8",
        "decimalnl_short": "line", "decimalnl_long": "line", "floatnl": "line", "stringnl": "line",
        "stringnl_noescape": "line", "unicodestringnl": "line", "stringnl_noescape_pair": "two", "string1": "c1",
        "bytes1": "c1", "unicodestring1": "c1", "long1": "c1", "string4": "c4", "bytes4": "c4",
        "unicodestring4": "c4", "long4": "c4", "bytes8": "c8", "unicodestring8": "c8", "bytearray8": "c8",
    }  # fmt: skip
    for opcode in pickletools.opcodes:
        assert OPCODES[ord(opcode.code)][1] == expected[opcode.arg.name if opcode.arg else None]
