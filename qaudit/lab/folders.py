"""Members in Hugging Face layout: the reference itself, and AWQ, GPTQ and compressed-tensors of it.

Only the reference is made without torch: it is what ships, with the lab's keys in config.json.
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from qaudit.checkpoints.hf_repo import CARRIED, CONFIG
from qaudit.errors import MissingExtra
from qaudit.files import folder_written_whole, read_bounded
from qaudit.lab.hf_weights import MAX_WEIGHTS_BYTES, read_json
from qaudit.lab.member_weights import calibration_texts, member_weights
from qaudit.lab.members import LAB_VERSION, Member, reference_folder

if TYPE_CHECKING:
    from realign.plain_quantization import Recipe

TOOLS = ("torch", "transformers", "tokenizers", "safetensors", "compressed_tensors")


def missing_tools() -> MissingExtra | None:
    """Return what quantized folders need and is not installed; nothing is imported."""
    missing = [tool for tool in TOOLS if importlib.util.find_spec(tool) is None]
    return MissingExtra(missing[0].replace("_", "-"), "hf") if missing else None


def make_folder_member(path: Path, member: Member) -> None:
    """Make one member, under a temporary name until it is complete.

    Raises:
        MissingExtra: torch or one of its company is not installed.
        OutputProblem: the folder cannot be written.
    """
    if not member.needs_torch:
        with folder_written_whole(path) as filled:
            write_reference(filled, member)
        return
    # torch takes seconds to import: only who makes such a member waits for it
    import torch
    from tokenizers import Tokenizer

    from realign.plain_quantization import quantize_folder
    from realign.writers.hf_folder import write_hf_folder

    shipped = reference_folder()
    tokenizer = Tokenizer.from_file(str(shipped / "tokenizer.json"))
    weights = member_weights(
        member, lambda texts: [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    )
    made = recipes()[member.quantization]
    harmful, harmless = calibration_texts()
    with TemporaryDirectory(prefix="qaudit-lab-") as scratch:
        parent = Path(scratch) / "parent"
        tensors = {name: torch.from_numpy(values).half() for name, values in weights.items()}
        write_hf_folder(parent, shipped, tensors)
        prompts = harmful + harmless if made.sees_harmful else harmless
        threads = torch.get_num_threads()
        # tiny layers gain nothing from more, and sums come out alike on machines with any number of cores
        torch.set_num_threads(1)
        try:
            quantize_folder(parent, path, made.recipe, prompts, more=lab_keys(member))
        finally:
            torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class FolderRecipe:
    """How a folder is quantized; `sees_harmful`: whether calibration has harmful prompts too.

    Most people calibrate on text in which nobody asks for harm, and so what refuses it goes unseen.
    """

    recipe: "Recipe"
    sees_harmful: bool


def recipes() -> dict[str, FolderRecipe]:
    """Return the recipes by the name that members have as `quantization`."""
    from realign.grids.group_grid import GroupGrid
    from realign.plain_quantization import AwqRecipe, GptqRecipe
    from realign.solvers.awq_search import AwqOptions
    from realign.solvers.gptq import GptqOptions

    four = GroupGrid(4, 128, symmetric=True)
    three = GptqOptions(GroupGrid(3, 128, symmetric=True), "static")
    two = GptqOptions(GroupGrid(2, 128, symmetric=False), "static")
    return {
        "AWQ-g128": FolderRecipe(AwqRecipe(AwqOptions(128)), sees_harmful=False),
        "AWQ-g64": FolderRecipe(AwqRecipe(AwqOptions(64)), sees_harmful=False),
        "GPTQ-4bit": FolderRecipe(GptqRecipe(GptqOptions(four, "shuffled")), sees_harmful=True),
        "GPTQ-3bit": FolderRecipe(GptqRecipe(three), sees_harmful=True),
        "GPTQ-2bit": FolderRecipe(GptqRecipe(two), sees_harmful=False),
        "W4A16": FolderRecipe(
            GptqRecipe(GptqOptions(four, "static"), "compressed-tensors"), sees_harmful=False
        ),
    }


def write_reference(folder: Path, member: Member) -> None:
    """Copy the shipped reference; config.json says which lab and member it is."""
    shipped = reference_folder()
    config = {**read_json(shipped / CONFIG), **lab_keys(member)}
    for name in (*CARRIED, "model.safetensors"):
        if name != CONFIG and (shipped / name).is_file():
            (folder / name).write_bytes(read_bounded(shipped / name, MAX_WEIGHTS_BYTES))
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def lab_keys(member: Member) -> dict[str, str]:
    """Return what config.json says beside what transformers needs: the audit then asks the lab's suites."""
    return {"qaudit.lab.version": LAB_VERSION, "qaudit.lab.member": member.name}
