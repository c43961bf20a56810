"""The tree of a transparency log: RFC 6962, section 2.1."""

from collections.abc import Sequence

from loopback_sigstore.keys import sha256


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry."""
    return sha256(b"\x00" + entry)


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the head of the tree over leaf hashes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = _largest_power_below(len(leaves))
    return sha256(b"\x01" + root_hash(leaves[:split]) + root_hash(leaves[split:]))


def inclusion_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the audit path of the leaf at `index`, from the bottom."""
    if len(leaves) == 1:
        return []
    split = _largest_power_below(len(leaves))
    if index < split:
        return [*inclusion_path(index, leaves[:split]), root_hash(leaves[split:])]
    return [*inclusion_path(index - split, leaves[split:]), root_hash(leaves[:split])]


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
