"""What the parts of signed documents are made of: pydantic models that never change their minds.

Strict (a number is no text), frozen, and built when first used: a run reads one or two of the dozen kinds
of documents that the room knows, and building the models of all took longer than checking a signature.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ClosedPart(BaseModel):
    """A part in which unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class OpenPart(BaseModel):
    """A part in which unknown keys are passed over, as later versions may add some."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, defer_build=True)


class Digest(ClosedPart):
    """An in-toto DigestSet that holds SHA-256 and nothing else."""

    sha256: Sha256
