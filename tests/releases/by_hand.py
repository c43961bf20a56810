"""Trees as a hub holds them and blobs as a layout does, made without qaudit's own writers."""

import hashlib
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def put(layout: Path, data: bytes) -> dict[str, Any]:
    """Put a manifest into a layout; return its descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": MANIFEST, "digest": f"sha256:{digest}", "size": len(data)}
