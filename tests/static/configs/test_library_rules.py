from typing import Any

import pytest
from tensor_folders import loud

from qaudit.static.configs.documents import ConfigFile
from qaudit.static.configs.lenient_json import Document
from qaudit.static.configs.library_rules import BOOK


def found(name: str, value: Any) -> dict[str, str]:
    return loud(BOOK.findings(ConfigFile(name, Document(value))))


ST = "sentence_transformers.models.Transformer"


@pytest.mark.parametrize(
    ("name", "value", "rule", "severity"),
    [
        ("adapter_config.json", {"auto_mapping": {"parent_library": "evil.mod"}}, "adapter-parent", "high"),
        ("adapter_config.json", {"auto_mapping": {"parent_library": "os"}}, "adapter-parent", "critical"),
        ("x/adapter_config.json", {"auto_mapping": {"parent_library": "transformers_modules.a.b"}}, "adapter-parent", "medium"),
        ("adapter_config.json", {"base_model_name_or_path": "https://evil/x"}, "adapter-base", "medium"),
        ("adapter_config.json", {"base_model_name_or_path": "../../x"}, "adapter-base", "medium"),
        ("modules.json", [{"type": "evil.Module", "path": ""}], "sentence-module", "high"),
        ("modules.json", [{"type": ST}, {"type": "os.system"}], "sentence-module", "critical"),
        ("modules.json", [{"type": ST, "path": "../x"}], "sentence-path", "critical"),
        ("modules.json", [{"type": ST, "path": "/etc"}], "sentence-path", "critical"),
        ("config.json", {"sentence_transformers": {"activation_fn": "evil.Act"}}, "activation-import", "high"),
        ("config.json", {"sbert_ce_default_activation_function": "os.system"}, "activation-import", "critical"),
        ("1_Dense/config.json", {"activation_function": "x.y.Z"}, "activation-import", "high"),
        ("model_index.json", {"unet": ["evil_module", "Net"]}, "pipeline-component", "medium"),
    ],
)  # fmt: skip
def test_each_rule(name: str, value: Any, rule: str, severity: str) -> None:
    assert found(name, value) == {f"library/{rule}": severity}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("adapter_config.json", {"auto_mapping": None, "base_model_name_or_path": "meta-llama/Llama-3.1-8B"}),
        ("adapter_config.json", {"auto_mapping": {"parent_library": "transformers.models.bert.modeling_bert"}}),
        ("adapter_config.json", {"base_model_name_or_path": "/workspace/model"}),
        ("adapter_config.json", []),
        ("modules.json", [{"idx": 0, "name": "0", "path": "", "type": ST}, {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]),
        ("modules.json", {"type": "x"}),
        ("1_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Tanh"}),
        ("config.json", {"activation_function": "gelu_new"}),
        ("model_index.json", {"_class_name": "P", "unet": ["diffusers", "UNet"], "safety_checker": [None, None], "size": [1, 2]}),
        ("other.json", {"unet": ["evil_module", "Net"]}),
    ],
)  # fmt: skip
def test_ordinary_files(name: str, value: Any) -> None:
    assert found(name, value) == {}
