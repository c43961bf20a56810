from pathlib import Path

import pytest
from gguf_seen import Look, Seen, seen_in


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Writes bytes to a file and applies the rules."""

    def looked(data: bytes, name: str = "model.gguf") -> Seen:
        return seen_in(data, tmp_path / name)

    return looked
