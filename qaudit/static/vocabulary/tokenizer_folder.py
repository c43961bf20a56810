"""The tokenizer of one folder: all files that a loader may build it from, read side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from qaudit.errors import InputError
from qaudit.findings import State, Surface
from qaudit.static.case import opened
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.model_parts import VocabularyView
from qaudit.static.vocabulary.json_text import MAX_BYTES, Text, read_text
from qaudit.static.vocabulary.plain_files import read_merges, read_ranks, read_vocabulary
from qaudit.static.vocabulary.sentencepiece import PieceModel, is_piece_model, read_pieces
from qaudit.static.vocabulary.tokenizer_json import TokenizerJson, read_tokenizer
from qaudit.static.vocabulary.tokens import Vocabulary

TOKENIZER, CONFIG, SPECIAL, ADDED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
JSON_FILES = (TOKENIZER, CONFIG, SPECIAL, ADDED, "vocab.json")
PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "source.spm", "target.spm")
OTHERS = ("merges.txt", "vocab.txt")
NAMES = frozenset({*JSON_FILES, *PIECES, *OTHERS})
# read for what they say about the tokenizer; judged elsewhere
BESIDE = ("config.json", "generation_config.json")
# folders of one download that are read: a pipeline of diffusers has three
MOST_FOLDERS = 16
MAX_SETTINGS = 4 << 20  # bytes of config.json
ROLES = ("bos", "eos", "unk", "pad", "sep", "cls", "mask", "eot", "eom")


@dataclass(slots=True)
class TokenizerFolder:
    """What lies in one folder.

    Attributes:
        prefix: its path with a slash, or nothing.
        records: parsed JSON by basename, also of config.json.
        tokenizer: `tokenizer.json`, where it is one.
        pieces: SentencePiece models by basename.
        listed: `vocab.json` as text -> id, `merges` as lines.
        view: the vocabulary that a loader would use.
    """

    prefix: str
    entries: Mapping[str, Entry]
    texts: dict[str, Text] = field(default_factory=dict)
    tokenizer: TokenizerJson | None = None
    pieces: dict[str, PieceModel] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)
    merges: list[str] = field(default_factory=list)
    view: VocabularyView | None = None
    surfaces: list[Surface] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """Of the tokenizer's own files."""
        return [entry.path for name, entry in sorted(self.entries.items()) if name in NAMES]

    def record(self, name: str) -> dict[str, object]:
        """Return a JSON file's object; empty where there is none."""
        text = self.texts.get(name)
        return text.record if text else {}

    def path(self, name: str) -> str:
        """Return the path of a file of this folder for a location."""
        return f"{self.prefix}{name}"

    @property
    def embedding_rows(self) -> int | None:
        """The vocabulary's size as config.json declares it."""
        config = self.record("config.json")
        inner = config.get("text_config")
        for record in (config, inner if isinstance(inner, dict) else {}):
            rows = record.get("vocab_size")
            if type(rows) is int and rows > 0:
                return rows
        return None

    @property
    def vocabularies(self) -> Iterator[Vocabulary]:
        """The vocabulary in use first, then what other files hold instead of it."""
        if self.view is not None:
            yield Vocabulary(self.view, self.embedding_rows)
        for pieces in self.pieces.values():
            if pieces.view is not self.view:
                yield Vocabulary(pieces.view)

    def read(self) -> None:
        """Read every file; what cannot be read becomes a surface that says so."""
        for name in sorted(self.entries):
            try:
                self._read_one(name)
            except InputError as error:
                self._surface(name, "skipped", str(error))
        self.view = self._view()

    def _read_one(self, name: str) -> None:
        entry = self.entries[name]
        with opened(entry) as source:
            if name in JSON_FILES or name in BESIDE:
                text = read_text(source, MAX_SETTINGS if name in BESIDE else MAX_BYTES)
                self.texts[name] = text
                if name in BESIDE:
                    return
                self._surface(name, "skipped" if text.why else "examined", text.why)
                if name == TOKENIZER:
                    self._take_tokenizer(text)
                elif name == "vocab.json":
                    self.listed = {t: i for t, i in text.record.items() if type(i) is int}
                return
            if source.size > MAX_BYTES:
                self._surface(name, "skipped", f"longer than {MAX_BYTES} bytes")
                return
            raw = source.read_at(0, source.size)
        if name in PIECES:
            self._take_pieces(name, raw)
        elif name == "merges.txt":
            self.merges = read_merges(raw)
            self._surface(name, "examined")
        else:
            self.listed = self.listed or read_vocabulary(raw)
            self._surface(name, "examined")

    def _take_tokenizer(self, text: Text) -> None:
        if text.why:
            return
        self.tokenizer = read_tokenizer(self.path(TOKENIZER), text.record)
        if self.tokenizer is None:
            # keras and others give their files this name too
            self.surfaces[-1] = replace(
                self.surfaces[-1], state="partial", why="it has no model of Hugging Face's tokenizers in it"
            )
        elif self.tokenizer.more:
            self.surfaces[-1] = replace(self.surfaces[-1], state="partial", why="it has too many steps")

    def _take_pieces(self, name: str, raw: bytes) -> None:
        path = self.path(name)
        if is_piece_model(raw):
            self.pieces[name] = read_pieces(path, raw)
            problem = self.pieces[name].problem
            self._surface(name, "partial" if problem else "examined", problem)
            return
        ranks = read_ranks(path, raw)
        if ranks is None:
            ranks = PieceModel(
                VocabularyView(path, "", ()), "neither a SentencePiece model nor a list of ranks"
            )
        self.pieces[name] = ranks
        if ranks.problem:
            self._surface(name, "partial", ranks.problem)
            return
        self._surface(name, "examined")

    def _surface(self, name: str, state: State, why: str = "") -> None:
        self.surfaces.append(Surface(self.path(name), "tokenizer", state, why))

    def _view(self) -> VocabularyView | None:
        if self.tokenizer is not None:
            view = self.tokenizer.view
        elif self.listed:
            view = _listed_view(self.path("vocab.json"), self.listed, self.merges)
        elif self.pieces:
            view = max((model.view for model in self.pieces.values()), key=lambda view: len(view.tokens))
        else:
            return None
        return replace(view, special=self._special(view))

    def _special(self, view: VocabularyView) -> dict[str, int]:
        found = dict(view.special)
        for record in (self.record(SPECIAL), self.record(CONFIG)):
            for role in ROLES:
                text = token_text(record.get(f"{role}_token"))
                index = None if text is None else _id_of(view, text)
                if index is not None:
                    found[role] = index
        return found


def _id_of(view: VocabularyView, text: str) -> int | None:
    if text in view.added:
        return view.added[text][0]
    try:
        return view.tokens.index(text)
    except ValueError:
        return None


def token_text(value: object) -> str | None:
    """Return a special token's text: written plainly, or as an object with its flags."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _listed_view(path: str, listed: Mapping[str, int], merges: list[str]) -> VocabularyView:
    most = len(listed) * 4 + 65536
    tokens: list[str | None] = [None] * (max((i for i in listed.values() if 0 <= i < most), default=-1) + 1)
    for text, index in listed.items():
        if 0 <= index < len(tokens):
            tokens[index] = text
    return VocabularyView(path, "BPE" if merges else "WordPiece", tokens, merges=merges)


@lru_cache(maxsize=1)
def read_folders(folder: FolderView) -> tuple[TokenizerFolder, ...]:
    """Return the folders that have tokenizer files with all files read: once for all who ask.

    A view of the same files at another time has other openers, and is another view.

    Raises:
        HubUnreachable: a hub no longer answers.
    """
    found = tokenizer_folders(folder)
    for tokenizer in found[:MOST_FOLDERS]:
        tokenizer.read()
    for tokenizer in found[MOST_FOLDERS:]:
        tokenizer.surfaces += [
            Surface(path, "tokenizer", "skipped", f"more than {MOST_FOLDERS} folders with tokenizers")
            for path in tokenizer.paths
        ]
    return tuple(found)


def tokenizer_folders(folder: FolderView) -> list[TokenizerFolder]:
    """Return the folders of a download that have tokenizer files, the one highest up first, unread."""
    held: dict[str, dict[str, Entry]] = {}
    for entry in folder.entries:
        prefix, slash, name = entry.path.rpartition("/")
        if (name in NAMES or name in BESIDE) and entry.open is not None:
            held.setdefault(f"{prefix}{slash}", {})[name] = entry
    return [
        TokenizerFolder(prefix, entries)
        for prefix, entries in sorted(held.items(), key=lambda item: (item[0].count("/"), item[0]))
        if NAMES & entries.keys()
    ]
