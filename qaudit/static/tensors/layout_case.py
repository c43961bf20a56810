"""One folder's packed weights, with what its configuration says about them and what was found wrong."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from qaudit.static.configs.quantization import Claim
from qaudit.static.tensors.faults import Fault
from qaudit.static.tensors.modules import Module, Packing
from qaudit.static.tensors.packed_bytes import check_bnb4, check_bnb8, check_hqq
from qaudit.static.tensors.packed_compressed import check_compressed
from qaudit.static.tensors.packed_floats import check_blocks, check_scaled
from qaudit.static.tensors.packed_words import check_words

Check = Callable[[Module, Claim | None], Iterator[Fault]]
CHECKS: Mapping[Packing, Check] = {
    "words": check_words,
    "compressed": check_compressed,
    "bnb4": check_bnb4,
    "bnb8": check_bnb8,
    "hqq": check_hqq,
    "blocks": check_blocks,
    "scaled": check_scaled,
}
MOST_FAULTS = 500
# which packings a method leaves in a checkpoint
PACKINGS: Mapping[str, frozenset[Packing]] = {
    "awq": frozenset({"words"}),
    "gptq": frozenset({"words"}),
    "compressed-tensors": frozenset({"compressed", "scaled"}),
    "bitsandbytes": frozenset({"bnb4", "bnb8"}),
    "hqq": frozenset({"hqq"}),
    "fp8": frozenset({"scaled"}),
    "fbgemm_fp8": frozenset({"scaled"}),
    "mxfp4": frozenset({"blocks", "scaled"}),
    "modelopt": frozenset({"scaled"}),
}


@dataclass(slots=True)
class LayoutCase:
    """One folder of weights.

    Attributes:
        place: config.json, or the folder where there is none.
        claim: the statement that loaders take; None without one.
        whole: all headers of the folder were read, and its configuration too.
        configured: there is a config.json.
    """

    place: str
    modules: Mapping[str, Module]
    claim: Claim | None
    whole: bool
    configured: bool
    faults: list[Fault] = field(default_factory=list)

    def check(self) -> None:
        """Check every packed module by its layout."""
        for module in self.modules.values():
            if len(self.faults) >= MOST_FAULTS:
                return
            check = CHECKS.get(module.packing)
            if check is not None:
                self.faults += check(module, self.claim)
            elif module.packing == "stray":
                parts = ", ".join(sorted(module.parts))[:160]
                self.faults.append(
                    Fault("part-missing", module.place, f"has {parts}, and no weight of any kind")
                )

    def packed(self) -> list[Module]:
        """Return the modules that are packed."""
        return [module for module in self.modules.values() if module.packed]
