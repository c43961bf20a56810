"""One safetensors file: its header walked, and every rule over it applied; values where they are at hand."""

from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.kinds import HEAD_BYTES, content_of
from qaudit.static.model_parts import Examined, ModelParts, TensorRow
from qaudit.static.tensors import foreign_bytes, header_rules, name_rules, plain_values
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk
from qaudit.static.tensors.weight_files import walked

_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22 + 0xFFFF  # the record at a zip's end, with the longest comment


def inspect_safetensors(source: ByteSource, case: Case) -> Examined:
    """Look at the header of a file, and at its values where it is short or `--deep` asks for them.

    Raises:
        InputError: the file cannot be read.
    """
    walk = walked(source, case)
    walk.tail = _tail(source, walk)
    state = Surface(source.name, "safetensors", "examined" if walk.complete else "partial", walk.why)
    findings = header_rules.BOOK.findings(walk) + name_rules.BOOK.findings(walk)
    surfaces = [state]
    if source.local:
        begun = foreign_bytes.starts(source, walk)
        findings += foreign_bytes.BOOK.findings(begun)
        if begun.left_out:
            why = f"the beginnings of {begun.left_out} tensors were not looked at"
            surfaces.append(Surface(source.name, "weights", "partial", why))
    if plain_values.is_read(source, deep=case.deep):
        findings += plain_values.BOOK.findings(plain_values.ValueCase(source, walk))
    elif walk.tensors:
        why = "--deep reads the values" if source.local else "only headers are fetched from a hub"
        surfaces.append(Surface(source.name, "weights", "skipped", why))
    return Examined(
        findings=findings,
        surfaces=surfaces,
        parts=ModelParts(source.name, "safetensors", tensors=tensor_rows(walk)),
    )


def tensor_rows(walk: SafetensorsWalk) -> tuple[TensorRow, ...]:
    """Return the tensor table of a file, for comparison."""
    return tuple(TensorRow(t.name, t.shape, t.dtype, t.size) for t in walk.tensors)


def _tail(source: ByteSource, walk: SafetensorsWalk) -> str:
    """Name what follows the last tensor, where something does."""
    end = walk.data_start + max((tensor.end for tensor in walk.tensors), default=0)
    if not walk.complete or end >= source.size:
        return ""
    # what unpacks zips looks from the end, wherever the archive begins
    if _ZIP_END in source.read_at(max(end, source.size - _ZIP_END_BYTES), _ZIP_END_BYTES):
        return "zip"
    head = source.read_at(end, HEAD_BYTES)
    return content_of(head) or ("zeros" if not head.strip(b"\0") else "")
