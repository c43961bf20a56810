"""The rules on tokens, for a vocabulary of whatever file."""

from qaudit.findings import Finding
from qaudit.static.vocabulary import special_rules, token_rules
from qaudit.static.vocabulary.tokens import Vocabulary


def judge_vocabulary(vocabulary: Vocabulary) -> list[Finding]:
    """Apply the rules on tokens to one vocabulary, of a GGUF or of a folder."""
    return token_rules.BOOK.findings(vocabulary) + special_rules.BOOK.findings(vocabulary)
