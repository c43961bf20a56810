"""Shapes of tensors as people write them."""

MOST_DIMENSIONS = 12


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for evidence; of one with more dimensions than any tensor has, the first."""
    told = "x".join(map(str, shape[:MOST_DIMENSIONS])) or "a scalar"
    return f"{told}x…" if len(shape) > MOST_DIMENSIONS else told
