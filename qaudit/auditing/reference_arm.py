"""A reference's answers, asked once and used by every audit that asks it the same.

They depend on the reference and on how it is asked, never on the candidate. What is kept is one
file a key, written once and whole, with the distributions that figures are derived from; an audit
copies it into its own journal, so that its report has the same bytes as one that asked for itself.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from qaudit import __version__
from qaudit.auditing.case import Case
from qaudit.files import make_folder, sha256_bytes
from qaudit.journal import Journal, Record
from qaudit.values import EngineInfo

ARM = "reference"
# who answered is a record of its own; figures of a pair say that distributions are gone
ENGINE, PAIR = "engine", "pair"
PAIR_KINDS = ("replies", "after_reasoning", "passages")
LLAMA, SERVED = "llama.cpp", "served"


@dataclass(frozen=True, slots=True)
class Answered:
    """The engine that answered for an arm, and what it has to tell the reader of the report."""

    engine: EngineInfo
    notes: tuple[str, ...] = ()


class KeptReference:
    """The place of one reference's answers in a folder that several audits share.

    Args:
        folder: where they are kept; made when it is needed.
        key: digest of everything that the answers depend on.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key
        self._path = folder / f"{key}.sqlite"

    def take(self, journal: Journal) -> Answered | None:
        """Copy the kept answers into an audit's journal.

        Returns:
            Who gave them; None when none are kept, and the reference must be asked.

        Raises:
            OutputProblem: the journal cannot be written.
        """
        if not self._path.is_file() or not journal.adopt(self._path, self._key, ARM):
            return None
        return answered_by(journal)

    def give(self, journal: Journal, answered: Answered) -> None:
        """Keep the answers of an audit whose reference has been asked everything.

        Answers whose distributions have been dropped (a finished audit's, resumed) are of no use to
        others and are not kept; nor are those of an engine that crashed, which may be this machine's
        doing today.

        Raises:
            OutputProblem: the folder cannot be written.
        """
        if self._path.is_file() or any(journal.known(PAIR, kind) for kind in PAIR_KINDS):
            return
        if any(fields.get("finish") == "crashed" for fields in journal.fields(ARM, "replies").values()):
            return
        journal.add(ARM, ENGINE, [Record("info", asdict(answered))])
        make_folder(self._folder)
        journal.lend(self._path, self._key, ARM)


def kept_reference(case: Case) -> KeptReference | None:
    """Return where an audit shares its reference's answers; None where it does not.

    A served reference may answer otherwise tomorrow, and one that runs with the candidate's tokenizer
    (a GGUF beside a folder) answers for that candidate alone: these are asked every time.
    """
    folder, seat = case.options.references, case.seats.reference
    if folder is None or seat.engine is None or seat.weights is not None:
        return None
    return KeptReference(folder, reference_key(case))


def reference_key(case: Case) -> str:
    """Return the digest of everything that the reference's answers depend on."""
    parts = {
        "tool": __version__,
        "reference": case.reference.info.sha256,
        "template": case.template,
        "suites": [[s.name, s.sha256, [i.id for i in s.items]] for s in case.suites],
        "judge": [case.judge.name, case.judge.sha256],
        "engine": [case.seats.reference.engine, asdict(case.engine)],
        "max_tokens": case.options.max_tokens,
        "batch": case.options.batch,
    }
    return sha256_bytes(json.dumps(parts, sort_keys=True).encode())


def answered_alike(kept: EngineInfo, now: EngineInfo) -> bool:
    """Tell whether two arms were answered by the same build of the same engine on the same device.

    llama.cpp tells what its build uses of the processor; transformers tells how it loaded the weights,
    which may differ between the arms of one audit. A served candidate has an engine of its own in any
    case, which the report says, so that kept answers are as good as new ones.
    """
    if now.device == SERVED:
        return True
    same = (kept.name, kept.version, kept.device) == (now.name, now.version, now.device)
    return same and (kept.name != LLAMA or kept.build == now.build)


def answered_by(journal: Journal) -> Answered | None:
    """Return who gave a journal's reference answers, where it says so."""
    fields = journal.fields(ARM, ENGINE).get("info")
    try:
        return Answered(EngineInfo(**fields["engine"]), tuple(fields["notes"])) if fields else None
    except (KeyError, TypeError):  # of another qaudit
        return None
