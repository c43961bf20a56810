"""Parts of signed documents: strict, frozen, and built when they are first used."""

import pytest
from pydantic import ValidationError

from qaudit.attest.document_parts import ClosedPart, Digest, OpenPart


class Closed(ClosedPart):
    count: int
    inner: Digest | None = None


class Open(OpenPart):
    count: int


def test_unknown_keys_are_refused_or_passed_over() -> None:
    assert Open.model_validate_json('{"count": 1, "later": 2}').model_dump() == {"count": 1}
    with pytest.raises(ValidationError, match="Extra inputs"):
        Closed.model_validate_json('{"count": 1, "later": 2}')


@pytest.mark.parametrize("part", [Closed, Open])
def test_a_number_is_no_text_and_nothing_changes_afterwards(part: type[Closed] | type[Open]) -> None:
    with pytest.raises(ValidationError, match="valid integer"):
        part.model_validate_json('{"count": "1"}')
    whole = part(count=1)
    with pytest.raises(ValidationError, match="frozen"):
        whole.count = 2  # type: ignore[misc]


@pytest.mark.parametrize("digest", ["", "A" * 64, "a" * 63, "a" * 64 + chr(10)])
def test_a_digest_is_sixty_four_lower_case_hex_digits(digest: str) -> None:
    assert Closed(count=1, inner=Digest(sha256="a" * 64)).inner == Digest(sha256="a" * 64)
    with pytest.raises(ValidationError):
        Digest(sha256=digest)


def test_parts_are_built_when_they_are_first_used() -> None:
    class Unused(ClosedPart):
        count: int

    assert not Unused.__pydantic_complete__
    assert Unused(count=1).count == 1
    assert Unused.__pydantic_complete__
