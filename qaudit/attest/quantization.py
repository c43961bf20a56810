"""How a checkpoint was quantized, gathered for the statement: type, quantizer, imatrix, recipe, claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qaudit.attest.audit_facts import is_line
from qaudit.attest.document_parts import Digest
from qaudit.attest.layout import RECIPE_LIMIT
from qaudit.attest.predicate import Claims, Imatrix, Quantization, Recipe, Tool
from qaudit.attest.recipe_facts import find_recipe, read_recipe
from qaudit.errors import InputError
from qaudit.files import read_bounded, sha256_file
from qaudit.values import FileDigest


@dataclass(frozen=True, slots=True)
class Making:
    """What the signer says of how the checkpoint was made.

    Attributes:
        quantizer: the program, as `llama.cpp@b4512`.
        imatrix: the importance matrix that it was given; its digest is signed.
        recipe: the `realign.json`, where it does not lie beside the checkpoint.
        claims: what the checkpoint's own header says (`quantizer`, `imatrix`, `imatrixDataset`).
    """

    quantizer: str | None = None
    imatrix: Path | None = None
    recipe: Path | None = None
    claims: Mapping[str, str] = field(default_factory=dict)


def gather(
    making: Making, checkpoint: Path, files: Sequence[FileDigest], kind: str
) -> tuple[Quantization, bytes | None]:
    """Return the statement's part about quantization, and the bytes of the recipe if there is one.

    Args:
        making: what the signer says.
        checkpoint: the checkpoint, beside which a recipe is looked for.
        files: its files.
        kind: the type that the report names, such as Q4_K_M.

    Raises:
        InputError: a file cannot be read, the quantizer has no version, or two of them are named.
        GateFailure: the recipe is of other bytes.
    """
    place = making.recipe or find_recipe(checkpoint)
    raw = None if place is None else read_bounded(place, RECIPE_LIMIT)
    recipe = None if raw is None else read_recipe(raw, files, place)
    return (
        Quantization(
            type=kind,
            quantizer=_quantizer(making.quantizer, recipe),
            imatrix=None if making.imatrix is None else _imatrix(making.imatrix),
            recipe=recipe,
            claims=_claims(making.claims),
        ),
        raw,
    )


def _quantizer(text: str | None, recipe: Recipe | None) -> Tool | None:
    if recipe is not None:
        if text is not None:
            raise InputError(f"--quantizer {text!a}: the recipe says {recipe.tool.name}; drop one of the two")
        return recipe.tool
    if text is None:
        return None
    name, _, version = text.rpartition("@")
    if not name or not version or not is_line(text):
        raise InputError(f"--quantizer {text!a}: give name and version, as in llama.cpp@b4512")
    return Tool(name=name, version=version)


def _imatrix(path: Path) -> Imatrix:
    if not is_line(path.name):
        raise InputError(f"--imatrix {str(path)!a}: its name holds control characters; rename it")
    return Imatrix(name=path.name, digest=Digest(sha256=sha256_file(path)))


def _claims(given: Mapping[str, str]) -> Claims | None:
    # a header may hold anything: what is not a plain line is left out
    kept = {key: text for key, text in given.items() if key in Claims.model_fields and text and is_line(text)}
    return Claims(**kept) if kept else None
