"""Element types of safetensors by name, with their bits.

`qaudit.checkpoints.raw_tensors` has most of them too, but imports numpy; a test holds the two together.
"""

BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
# of these, loaders older than safetensors 0.6 know none
NEWER = frozenset({"F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2", "F4", "C64"})
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
# the types that scales have
SCALE_FLOATS = frozenset({"F32", "F16", "BF16"})
EIGHT_BIT_FLOATS = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
