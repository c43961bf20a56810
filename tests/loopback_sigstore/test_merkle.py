import hashlib

from loopback_sigstore.merkle import inclusion_path, leaf_hash, root_hash

# the entries and heads that certificate transparency implementations test themselves with
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
HEADS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]


def climb(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162's way up, which shares nothing with ours down."""
    last, digest = size - 1, leaf
    for sibling in path:
        if index % 2 or index == last:
            digest = hashlib.sha256(b"\x01" + sibling + digest).digest()
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            digest = hashlib.sha256(b"\x01" + digest + sibling).digest()
        index, last = index // 2, last // 2
    assert last == 0
    return digest


def test_heads_are_the_known_ones() -> None:
    assert root_hash([]).hex() == hashlib.sha256(b"").hexdigest()
    for size, head in HEADS.items():
        assert root_hash(LEAVES[:size]).hex() == head


def test_every_path_leads_to_the_head() -> None:
    for size in range(1, 20):
        leaves = [leaf_hash(b"%d" % number) for number in range(size)]
        for index, leaf in enumerate(leaves):
            assert climb(leaf, index, size, inclusion_path(index, leaves)) == root_hash(leaves)
