"""What a download says about how its weights are packed, in each of the places where it may say so."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# beside config.json, by who writes them: AutoGPTQ, AutoAWQ, ModelOpt
FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
KNOWN = frozenset(
    {"awq", "gptq", "compressed-tensors", "bitsandbytes", "hqq", "fp8", "fbgemm_fp8", "mxfp4", "modelopt"}
)
# these pack as GPTQ or AWQ do
ALIKE = frozenset({"auto-round", "intel/auto-round", "inc", "gptq_marlin", "awq_marlin"})
# read by transformers or vLLM, packed in ways that are not checked here
OTHERS = frozenset({
    "aqlm", "bitblas", "bitnet", "ct", "deepspeedfp", "eetq", "exl2", "exl3", "experts_int8",
    "finegrained_fp8", "fouroversix", "fp_quant", "gemma", "gguf", "higgs", "hqq_marlin", "ipex",
    "marlin", "metal", "modelopt_fp4", "mxfp8", "neuron_quant", "nvfp4", "petit_nvfp4", "ptpc_fp8",
    "quanto", "quark", "quip", "rtn", "sinq", "spqr", "squeezellm", "torchao", "tpu_int8", "vptq",
})  # fmt: skip
_METHOD_NAMES = {
    "sparseml": "compressed-tensors", "compressed_tensors": "compressed-tensors", "nf4": "bitsandbytes",
    "bnb": "bitsandbytes",
}  # fmt: skip
_SKIPPED = (
    "modules_to_not_convert",
    "ignore",
    "ignored_layers",
    "llm_int8_skip_modules",
    "exclude_modules",
    "skip_modules",
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement; a key that it does not have is None.

    Attributes:
        place: `file` or `file:key`.
        method: `awq`, `gptq`, ...; empty where it says none.
        layout: `gemm`, `gptq_v2`, `pack-quantized`, ... in lower case.
        group_size: -1 for all inputs.
        skipped: modules that are said not to be packed, as written.
        raw: the statement itself.
    """

    place: str
    method: str = ""
    bits: int | None = None
    group_size: int | None = None
    sym: bool | None = None
    desc_act: bool | None = None
    layout: str | None = None
    skipped: tuple[str, ...] = ()
    raw: Mapping[str, object] = field(default_factory=dict, hash=False)


def claim_of(place: str, value: object) -> Claim | None:
    """Read a statement leniently; None where it is no object."""
    if not isinstance(value, dict):
        return None
    inner = value.get("quantization")
    if isinstance(inner, dict):  # as ModelOpt writes it
        value = {"quant_method": "modelopt", **inner}
    method = _method(value)
    return Claim(
        place,
        method,
        bits=_bits(value, method),
        group_size=_whole(value, "group_size", "q_group_size"),
        sym=_truth(value, "sym", "symmetric"),
        desc_act=_truth(value, "desc_act"),
        layout=_layout(value, method),
        skipped=_skipped(value),
        raw=value,
    )


def claims_of(config: Mapping[str, object], place: str, others: Mapping[str, object]) -> list[Claim]:
    """Return every statement of one folder.

    Args:
        config: config.json.
        place: its path.
        others: path -> content of the files in `FILES` that are there.
    """
    found = [
        claim_of(f"{place}:{key}", config.get(key)) for key in ("quantization_config", "compression_config")
    ]
    text = config.get("text_config")
    if isinstance(text, dict):
        found.append(claim_of(f"{place}:text_config.quantization_config", text.get("quantization_config")))
    found += [claim_of(path, value) for path, value in others.items()]
    return [claim for claim in found if claim is not None]


def weight_schemes(claim: Claim) -> list[Mapping[str, object]]:
    """Return the `weights` of each group of a compressed-tensors statement."""
    groups = claim.raw.get("config_groups")
    found = (
        [group.get("weights") for group in groups.values() if isinstance(group, dict)]
        if isinstance(groups, dict)
        else []
    )
    return [weights for weights in found if isinstance(weights, dict)]


def _method(value: Mapping[str, object]) -> str:
    given = value.get("quant_method") or value.get("method")
    if isinstance(given, str):
        name = given.lower()
        return _METHOD_NAMES.get(name, name)[:60]
    if "w_bit" in value or "q_group_size" in value:
        return "awq"
    if "load_in_4bit" in value or "load_in_8bit" in value:
        return "bitsandbytes"
    return "gptq" if "bits" in value else ""


def _bits(value: Mapping[str, object], method: str) -> int | None:
    told = _whole(value, "bits", "w_bit", "nbits")
    if told is None and method == "bitsandbytes":
        if value.get("load_in_4bit") or value.get("_load_in_4bit"):
            return 4
        return 8 if value.get("load_in_8bit") or value.get("_load_in_8bit") else None
    if told is None and method == "hqq":
        inner = value.get("quant_config")
        weights = inner.get("weight_quant_params") if isinstance(inner, dict) else None
        return _whole(weights, "nbits") if isinstance(weights, dict) else None
    return told


def _layout(value: Mapping[str, object], method: str) -> str | None:
    keys: tuple[str, ...] = (
        ("version", "checkpoint_format", "format") if method == "awq" else ("checkpoint_format", "format")
    )
    if method == "modelopt":
        keys = ("quant_algo",)
    given = next((value[key] for key in keys if isinstance(value.get(key), str)), None)
    return str(given).lower()[:60] if given is not None else None


def _skipped(value: Mapping[str, object]) -> tuple[str, ...]:
    names: list[str] = []
    for key in _SKIPPED:
        given = value.get(key)
        if isinstance(given, list):
            names += [name for name in given[:100_000] if isinstance(name, str)]
    return tuple(names)


def _whole(value: Mapping[str, object], *keys: str) -> int | None:
    return next((found for key in keys if type(found := value.get(key)) is int), None)


def _truth(value: Mapping[str, object], *keys: str) -> bool | None:
    return next((found for key in keys if isinstance(found := value.get(key), bool)), None)
