from typing import Any

import pytest

from qaudit.static.configs.quantization import ALIKE, KNOWN, OTHERS, claim_of, claims_of, weight_schemes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"quant_method": "AWQ", "bits": 4, "group_size": 128, "version": "GEMM"}, ("awq", 4, 128, "gemm")),
        ({"zero_point": True, "q_group_size": 64, "w_bit": 4}, ("awq", 4, 64, None)),
        ({"bits": 3, "group_size": -1, "checkpoint_format": "gptq_v2"}, ("gptq", 3, -1, "gptq_v2")),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, ("bitsandbytes", 4, None, None)),
        ({"_load_in_8bit": True, "load_in_8bit": True}, ("bitsandbytes", 8, None, None)),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 2}}},
            ("hqq", 2, None, None),
        ),
        ({"quantization": {"quant_algo": "NVFP4", "group_size": 16}}, ("modelopt", None, 16, "nvfp4")),
        ({"bits": True, "group_size": "x"}, ("gptq", None, None, None)),
        ({}, ("", None, None, None)),
    ],
)
def test_reads_a_statement(value: dict[str, Any], expected: tuple[Any, ...]) -> None:
    claim = claim_of("p", value)
    assert claim is not None
    assert (claim.method, claim.bits, claim.group_size, claim.layout) == expected


def test_other_keys() -> None:
    claim = claim_of("p", {"quant_method": "gptq", "sym": True, "desc_act": False, "ignore": ["lm_head", 3]})
    assert claim is not None
    assert (claim.sym, claim.desc_act, claim.skipped) == (True, False, ("lm_head",))
    assert claim_of("p", [1]) is None


def test_all_places() -> None:
    config = {"quantization_config": {"bits": 4}, "text_config": {"quantization_config": {"bits": 8}}}
    assert [claim.bits for claim in claims_of(config, "c", {"q": {"bits": 2}})] == [4, 8, 2]
    assert claims_of({}, "c", {}) == []


def test_schemes() -> None:
    claim = claim_of(
        "p", {"config_groups": {"a": {"weights": {"num_bits": 4}}, "b": {"weights": None}, "c": 1}}
    )
    assert claim is not None
    assert weight_schemes(claim) == [{"num_bits": 4}]


def test_every_method_of_transformers_is_known() -> None:
    config = pytest.importorskip("transformers.utils.quantization_config")
    names = {str(method.value) for method in config.QuantizationMethod}
    assert names <= KNOWN | ALIKE | OTHERS
