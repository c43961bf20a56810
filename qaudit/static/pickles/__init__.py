"""Pickles read as programs, opcode by opcode, and never run: what they import, call and hide."""
