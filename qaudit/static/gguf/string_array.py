"""A GGUF array of strings as it lies in the file: one block of bytes and where each string begins.

A vocabulary has 10^5 strings and most rules look at none of them. Objects are made only for those that
are asked for, and a search runs over the block as a whole.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from operator import sub
from typing import overload

SLICE = 4096  # strings made at once while iterating


class StringArray(Sequence[bytes]):
    """Strings of an array, each made when it is asked for.

    Args:
        block: the array's bytes: length prefix and text of each string, back to back.
        marks: where each length prefix begins in `block`, then where the last text ends; one more
            than there are strings.
        prefix: bytes of a length prefix: 8, or 4 in GGUF v1.
        unusual: the lengths that are 0 or over 255, where that is known already.
    """

    __slots__ = ("_marks", "_prefix", "_unusual", "block")

    def __init__(
        self, block: bytes, marks: "array[int]", prefix: int = 8, unusual: Sequence[int] | None = None
    ) -> None:
        self.block, self._marks, self._prefix, self._unusual = block, marks, prefix, unusual

    def __len__(self) -> int:
        return len(self._marks) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"string {index} of {count}")
        place = index % count
        return self.block[self._marks[place] + self._prefix : self._marks[place + 1]]

    def __iter__(self) -> Iterator[bytes]:
        block, marks, prefix = self.block, self._marks, self._prefix
        for first in range(0, len(self), SLICE):
            part = marks[first : first + SLICE + 1]
            yield from [block[start + prefix : end] for start, end in pairwise(part)]

    def texts(self) -> list[str]:
        """Return all strings decoded; bytes that are not UTF-8 become lone surrogates."""
        return [text.decode("utf-8", "surrogateescape") for text in self]

    def lengths(self) -> "array[int]":
        """Return the length of each string in bytes."""
        return array("Q", map(sub, map(sub, self._marks[1:], self._marks), repeat(self._prefix)))

    def with_nul(self) -> Iterator[int]:
        """Give the index of each string that has a NUL in it."""
        if self._unusual is None:
            self._unusual = [length for length in self.lengths() if not 0 < length < 256]
        # zeros that are of lengths: all but one byte of a length from 1 to 255, of others as it comes
        zeros = (self._prefix - 1) * (len(self) - len(self._unusual))
        zeros += sum(length.to_bytes(self._prefix, "little").count(0) for length in self._unusual)
        if self.block.count(0) == zeros:
            return iter(())
        return (index for index, text in enumerate(self) if b"\0" in text)

    def holding(self, needle: bytes) -> Iterator[int]:
        """Give the index of each string that holds `needle`, each once, in order.

        Raises:
            ValueError: the needle is empty.
        """
        if not needle:
            raise ValueError("an empty needle is everywhere")
        return self.matching(re.compile(re.escape(needle)))

    def matching(self, pattern: "re.Pattern[bytes]") -> Iterator[int]:
        """Give the index of each string in which `pattern` is found, each once, in order.

        The pattern is searched in the whole block, so it must not match the empty string; anchors and
        look-behind see the neighbouring length prefixes, and it should be linear in what it reads.
        """
        block, marks, prefix = self.block, self._marks, self._prefix
        position, count = 0, len(self)
        while (match := pattern.search(block, position)) is not None:
            start = match.start()
            index = bisect_right(marks, start) - 1
            if index >= count:
                return
            text, end = marks[index] + prefix, marks[index + 1]
            if start < text:  # bytes of a length look like text
                position = text
                continue
            if pattern.search(block, start, end):
                yield index
            position = end
