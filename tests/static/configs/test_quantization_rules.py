from typing import Any

import pytest
from tensor_folders import loud

from qaudit.static.configs.quantization import claim_of
from qaudit.static.configs.quantization_rules import BOOK, Claims

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}


def found(*stated: dict[str, Any], broken: tuple[str, ...] = ()) -> dict[str, str]:
    claims = tuple(claim for i, value in enumerate(stated) if (claim := claim_of(str(i), value)))
    return loud(BOOK.findings(Claims("c", claims, broken)))


def test_agreement() -> None:
    assert found(GPTQ, {**GPTQ, "damp_percent": 0.1}) == {}
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}
    assert found(awq, {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}) == {}
    assert found() == {}
    assert found({**GPTQ, "quant_method": "auto-round", "packing_format": "auto_round:auto_gptq"}, GPTQ) == {}


@pytest.mark.parametrize(
    ("other", "rule", "severity"),
    [
        ({**GPTQ, "bits": 8}, "disagreement", "high"), ({**GPTQ, "group_size": 64}, "disagreement", "high"),
        ({**GPTQ, "quant_method": "awq"}, "disagreement", "high"), ({**GPTQ, "sym": False}, "disagreement-order", "medium"),
        ({**GPTQ, "desc_act": True}, "disagreement-order", "medium"),
    ],
)  # fmt: skip
def test_disagreement(other: dict[str, Any], rule: str, severity: str) -> None:
    assert found(GPTQ, other) == {f"quantization/{rule}": severity}


@pytest.mark.parametrize(
    ("value", "rule", "severity"),
    [
        ({**GPTQ, "bits": "4"}, "malformed", "medium"), ({**GPTQ, "sym": 1}, "malformed", "medium"),
        ({**GPTQ, "bits": 9}, "impossible", "high"), ({**GPTQ, "bits": -4}, "impossible", "high"),
        ({**GPTQ, "group_size": 1 << 40}, "impossible", "high"), ({**GPTQ, "group_size": -7}, "impossible", "high"),
        ({"quant_method": "awq", "bits": 3}, "impossible", "high"), ({"quant_method": "mystery"}, "unknown-method", "low"),
    ],
)  # fmt: skip
def test_one_statement(value: dict[str, Any], rule: str, severity: str) -> None:
    assert found(value) == {f"quantization/{rule}": severity}


def test_what_is_no_statement() -> None:
    assert found(broken=("config.json:quantization_config",)) == {"quantization/malformed": "medium"}
