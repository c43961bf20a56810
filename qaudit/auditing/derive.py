"""From stored distributions to stored figures, after which the distributions can go.

Full first-token and passage distributions of both arms are large (4 bytes a vocabulary entry and
position). What the metrics need of them is a few figures a prompt, computed here once and kept in
the journal, so that a resumed or repeated report needs no distribution.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qaudit.journal import Journal, Record
from qaudit.metrics.first_token import refusal_opening_set
from qaudit.probes import first_token, quality
from qaudit.values import REFUSED, Label

FIRST_TOKEN_KINDS = ("replies", "after_reasoning")
Distributions = NDArray[np.float32]
Compare = Callable[[Distributions, Distributions], Mapping[str, Any]]


def opening_tokens(journal: Journal, kind: str, reference_labels: Mapping[str, Label]) -> frozenset[int]:
    """Return the tokens with which the reference's own refusals begin at one position."""
    first = []
    for key, fields in journal.fields("reference", kind).items():
        top = first_token.top_tokens(fields)
        if top and reference_labels.get(key) in REFUSED:
            first.append(top[0].token)
    return refusal_opening_set(first)


def derive_figures(journal: Journal, reference_labels: Mapping[str, Label]) -> None:
    """Compute and store what is derived from distributions, then drop them.

    Args:
        journal: with both arms complete.
        reference_labels: label of each reference reply by key, of refuse suites.
    """
    for kind in FIRST_TOKEN_KINDS:
        opening = sorted(opening_tokens(journal, kind, reference_labels))
        _derive(journal, kind, partial(first_token.position_figures, opening=opening))
    _derive(journal, "passages", quality.reading_figures)
    journal.drop_floats()


def _derive(journal: Journal, kind: str, compare: Compare) -> None:
    known = journal.known("pair", kind)
    records = []
    for key in sorted(journal.known("reference", kind) - known):
        reference, candidate = journal.floats("reference", kind, key), journal.floats("candidate", kind, key)
        if reference is not None and candidate is not None:
            records.append(Record(key, compare(reference, candidate)))
    journal.add("pair", kind, records)
