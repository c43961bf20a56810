"""Refuse a pair that cannot be compared, and find what differs in one that can."""

import difflib

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.gguf_as_hf import require_same_model
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.reference_precision import require_precise
from qaudit.checkpoints.same_layout import require_same_layout
from qaudit.checkpoints.tokenizer_settings import tokenizer_differences
from qaudit.values import Finding

MAX_DIFF_LINES = 30


def require_comparable(reference: Checkpoint, candidate: Checkpoint) -> None:
    """Check that a difference in behaviour can only come from the weights.

    Raises:
        Incomparable: other architecture or shape, other tokenizer, or a reference that is itself a
            low-bit quantization.
    """
    if "endpoint" in (reference.format, candidate.format):
        # a server shows neither weights nor tokenizer: the report says so
        return
    require_precise(reference)
    if isinstance(reference, GgufCheckpoint) and isinstance(candidate, HfCheckpoint):
        require_same_model(reference, candidate)
        return
    if isinstance(reference, HfCheckpoint) and isinstance(candidate, GgufCheckpoint):
        require_same_model(candidate, reference)
        return
    require_same_layout(candidate, reference)


def compare_templates(audited: str, candidate: Checkpoint) -> list[Finding]:
    """Return a finding when the candidate would run another chat template than the one audited."""
    theirs = candidate.chat_template
    if audited == theirs or candidate.format == "endpoint":
        return []
    if theirs is None:
        return [
            Finding(
                id="template-missing",
                severity="medium",
                title="The candidate has no chat template",
                location="tokenizer.chat_template",
                evidence="the audit used one; a runtime will guess another format",
                remedy="copy the audited template into the checkpoint: into the GGUF with gguf_new_metadata, "
                "or as chat_template.jinja into the folder",
            )
        ]
    difference = difflib.unified_diff(
        audited.splitlines(), theirs.splitlines(), "audited", "candidate", "", "", 1, ""
    )
    return [
        Finding(
            id="template-differs",
            severity="high",
            title="The candidate's chat template is not the one that was audited",
            location="tokenizer.chat_template",
            evidence="\n".join(list(difference)[:MAX_DIFF_LINES]),
            remedy="a runtime will use this one, but another was audited: put the reference's in its place",
            references=("https://arxiv.org/abs/2602.04653",),
        )
    ]


def compare_tokenizers(reference: Checkpoint, candidate: Checkpoint) -> list[Finding]:
    """Return a finding when a GGUF beside a folder tells runtimes other settings than were audited."""
    if isinstance(reference, GgufCheckpoint) and isinstance(candidate, HfCheckpoint):
        lines = tokenizer_differences(reference, candidate)
    elif isinstance(reference, HfCheckpoint) and isinstance(candidate, GgufCheckpoint):
        lines = tokenizer_differences(candidate, reference)
    else:
        return []  # two of a format are refused where they differ
    if not lines:
        return []
    return [
        Finding(
            id="tokenizer-settings-differ",
            severity="high",
            title="The GGUF's tokenizer settings are not the folder's, which the audit used",
            location="tokenizer.ggml",
            evidence="\n".join(lines),
            remedy="a runtime obeys the GGUF: convert it again from the folder",
        )
    ]
