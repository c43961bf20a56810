"""What rules over a whole download look at: its list of files, and what was read of some of them."""

from dataclasses import dataclass, field

from qaudit.static.folder_view import FolderView


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was seen in a file while it was read; `code` names the rule that tells it."""

    code: str
    location: str
    text: str


@dataclass(slots=True)
class Download:
    """A download.

    Attributes:
        folder: its files.
        contents: path -> what a file is by its first bytes, where that is known.
        heads: path -> its first bytes.
        notes: what the readers of texts and of other formats saw.
        linked: paths of files that have other names outside of the download.
        settings: the root's config.json as far as it is flat.
        claims: what the readme claims in its front matter: key -> values.
    """

    folder: FolderView
    contents: dict[str, str] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    claims: dict[str, list[str]] = field(default_factory=dict)
