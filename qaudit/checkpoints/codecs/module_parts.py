"""The stored tensors that make up one module's weight, checked and read one at a time by a codec."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from qaudit.checkpoints.raw_tensors import FloatArray, RawTensor
from qaudit.checkpoints.safetensors import SafeTensor, SafetensorsFile
from qaudit.errors import MalformedFile

FLOATS = frozenset({"F16", "BF16", "F32"})


@dataclass(frozen=True, slots=True)
class ModuleParts:
    """One module: its tensors by what follows the module's name, such as `qweight` or `weight.absmax`."""

    module: str
    held: Mapping[str, tuple[SafetensorsFile, SafeTensor]]

    def __contains__(self, part: str) -> bool:
        """Tell whether the module has a part."""
        return part in self.held

    def dtype(self, part: str) -> str:
        """Return the stored type of a part."""
        return self._held(part)[1].dtype

    def shape(self, part: str) -> tuple[int, ...]:
        """Return the shape of a part."""
        return self._held(part)[1].shape

    def read(self, part: str, start: int = 0, stop: int | None = None) -> RawTensor:
        """Read a part, or its entries [start, stop) along the first dimension."""
        file, tensor = self._held(part)
        return file.read(tensor, start, stop)

    def require(self, part: str, dtypes: Collection[str], shape: tuple[int | None, ...]) -> None:
        """Check type and shape (None: any length) of a part.

        Raises:
            MalformedFile: it is not so, or the part is missing.
        """
        is_dtype, is_shape = self.dtype(part), self.shape(part)
        fits = len(is_shape) == len(shape) and all(
            want is None or want == have for want, have in zip(shape, is_shape, strict=True)
        )
        if is_dtype not in dtypes or not fits:
            wanted = "x".join("?" if length is None else str(length) for length in shape)
            have = "x".join(map(str, is_shape))
            kinds = " or ".join(sorted(dtypes))
            raise self.malformed(f"{part} is {is_dtype} {have}; the other parts ask for {kinds} {wanted}")

    def malformed(self, problem: str) -> MalformedFile:
        """Return the error that names the file and the module."""
        file, _ = next(iter(self.held.values()))
        return MalformedFile(file.path, f"{self.module}: {problem}")

    def _held(self, part: str) -> tuple[SafetensorsFile, SafeTensor]:
        try:
            return self.held[part]
        except KeyError:
            raise self.malformed(f"has no {part}") from None


class Codec(Protocol):
    """One way to store a matrix."""

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (rows, columns) after checking that all parts fit together.

        Raises:
            MalformedFile: they do not.
        """
        ...

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows [start, stop); `shape` has been asked before.

        Shapes:
            float32 [stop - start, columns], rows are outputs.
        """
        ...
