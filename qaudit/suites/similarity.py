"""How alike two prompts are, and which pairs of many are alike.

Texts are normalised (NFKC, case folded, everything but letters and digits a space, spaces
collapsed) and turned into the set of their words and of their word pairs. The measure is the
Jaccard similarity of two such sets, |A & B| / |A | B|: 1 for equal sets, about 0.77 when one word
in the middle of twelve differs. Word pairs make word order count.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil


def normalise(text: str) -> str:
    """Return the text as it is compared: folded, letters and digits only, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(character if character.isalnum() else " " for character in folded).split())


def features(text: str) -> frozenset[str]:
    """Return the words and word pairs of a text, normalised."""
    words = normalise(text).split()
    return frozenset(words) | {f"{first} {second}" for first, second in pairwise(words)}


def similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the Jaccard similarity of two feature sets; two empty sets are not alike."""
    union = len(first | second)
    return len(first & second) / union if union else 0.0


def similar_pairs(sets: Sequence[frozenset[str]], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Yield every pair (i, j), i < j, whose similarity is at least `threshold`, with the similarity.

    Exact, by prefix filtering (Bayardo et al., "Scaling up all pairs similarity search", 2007): with
    features ordered from rare to common, two sets that are alike enough must share one of the first
    |A| - ceil(threshold * |A|) + 1 features, so that only these are indexed and looked up.

    Raises:
        ValueError: the threshold is not in (0, 1].
    """
    if not 0.0 < threshold <= 1.0:
        raise ValueError("threshold: must lie in (0, 1]")
    counts = Counter(feature for each in sets for feature in each)
    index: dict[str, list[int]] = defaultdict(list)
    for j, current in enumerate(sets):
        # the rounding slack keeps 0.7 * 10 = 7.000000000000001 from cutting the prefix short
        length = len(current) - ceil(threshold * len(current) - 1e-9) + 1
        prefix = sorted(current, key=lambda feature: (counts[feature], feature))[:length]
        found: set[int] = set()
        for feature in prefix:
            found.update(index[feature])
            index[feature].append(j)
        for i in sorted(found):
            shorter, longer = sorted((len(sets[i]), len(current)))
            if shorter < threshold * longer - 1e-9:
                continue
            alike = similarity(sets[i], current)
            if alike >= threshold:
                yield i, j, alike
