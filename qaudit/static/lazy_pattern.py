"""Regular expressions that are compiled when they are first needed, since most files need few of them."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import AnyStr, Generic


class LazyPattern(Generic[AnyStr]):
    """A pattern of the standard library, not compiled until it is used."""

    def __init__(self, text: AnyStr, flags: int = 0) -> None:
        self._text: AnyStr = text
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[AnyStr]:
        """The pattern itself."""
        return re.compile(self._text, self._flags)

    def search(self, text: AnyStr) -> re.Match[AnyStr] | None:
        """As `re.Pattern.search`."""
        return self.compiled.search(text)

    def match(self, text: AnyStr) -> re.Match[AnyStr] | None:
        """As `re.Pattern.match`."""
        return self.compiled.match(text)

    def fullmatch(self, text: AnyStr) -> re.Match[AnyStr] | None:
        """As `re.Pattern.fullmatch`."""
        return self.compiled.fullmatch(text)

    def finditer(self, text: AnyStr) -> Iterator[re.Match[AnyStr]]:
        """As `re.Pattern.finditer`."""
        return self.compiled.finditer(text)
