"""Tables as CSV text that every reader reads back the same."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def to_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table as CSV text with a header and a line feed after each row."""
    stream = io.StringIO(newline="")
    # the csv module leaves a lone carriage return unquoted when rows end in a line feed
    returns = any("\r" in str(cell) for row in (columns, *(row.values() for row in rows)) for cell in row)
    writer = csv.DictWriter(
        stream,
        columns,
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL,
    )
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
