"""All tokenizer files of a download: each read within bounds, judged by itself and against its neighbours."""

from collections.abc import Iterator

from qaudit.findings import Finding
from qaudit.static.case import Case
from qaudit.static.folder_view import FolderView
from qaudit.static.model_parts import Examined, ModelParts
from qaudit.static.vocabulary import agreement_rules, pipeline_rules
from qaudit.static.vocabulary.judging import judge_vocabulary
from qaudit.static.vocabulary.tokenizer_folder import TokenizerFolder, read_folders


def inspect_tokenizer_files(folder: FolderView, case: Case) -> Examined:
    """Judge every tokenizer of a download.

    Raises:
        HubUnreachable: a hub no longer answers.
    """
    examined = Examined()
    for found in read_folders(folder):
        examined.surfaces += found.surfaces
        examined.findings += _findings(found)
        if examined.parts is None and found.view is not None:
            examined.parts = ModelParts(folder.name, "", vocabulary=found.view)
    return examined


def _findings(found: TokenizerFolder) -> Iterator[Finding]:
    for vocabulary in found.vocabularies:
        yield from judge_vocabulary(vocabulary)
    if found.tokenizer is not None:
        yield from pipeline_rules.BOOK.findings(found.tokenizer)
    yield from agreement_rules.BOOK.findings(found)
