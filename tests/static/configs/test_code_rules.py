from typing import Any

import pytest
from tensor_folders import loud, quiet

from qaudit.static.configs.code_rules import BOOK, is_dangerous
from qaudit.static.configs.documents import ConfigFile
from qaudit.static.configs.lenient_json import Document, read_json


def found(value: Any, name: str = "config.json") -> dict[str, str]:
    document = read_json(value) if isinstance(value, bytes) else Document(value)
    return loud(BOOK.findings(ConfigFile(name, document)))


@pytest.mark.parametrize(
    ("value", "rule", "severity"),
    [
        (b"{", "malformed", "high"),
        (b"[]", "malformed", "high"),
        (b'{"a":1,"a":2}', "duplicate-key", "high"),
        (b'{"x":{"a":1,"\\u0061":2}}', "duplicate-key", "high"),
        ({"auto_map": {"AutoModel": "modeling_x.Model"}}, "auto-map", "medium"),
        ({"auto_map": {"AutoTokenizer": [None, "tok.Fast"]}}, "auto-map", "medium"),
        ({"auto_map": {"AutoModel": "../x.Model"}}, "auto-map", "critical"),
        ({"vision_config": {"auto_map": {"AutoModel": "m.V"}}}, "auto-map", "medium"),
        ({"custom_pipelines": {"p": {"impl": "pipe.P", "pt": ["AutoModel"]}}}, "auto-map", "medium"),
        ({"auto_map": {"AutoModel": "evil/repo--m.M"}}, "auto-map-remote", "high"),
        ({"custom_pipelines": {"p": {"impl": "evil/repo--pipe.P"}}}, "auto-map-remote", "high"),
        ({"vision_config": {"auto_map": {"AutoConfig": "evil/repo--m.M"}}}, "auto-map-remote", "critical"),
        ({"a": [{"b": {"auto_map": {"AutoConfig": "evil/repo--m.M"}}}]}, "auto-map-remote", "critical"),
        ({"_attn_implementation_internal": "evil/kernel"}, "attention-from-hub", "critical"),
        ({"attn_implementation": "evil/kernel@main:attn"}, "attention-from-hub", "critical"),
        ({"text_config": {"_attn_implementation": "kernels-community/x"}}, "attention-from-hub", "critical"),
        (
            {"attn_implementation": {"text_config": "sdpa", "vision_config": "evil/x"}},
            "attention-from-hub",
            "critical",
        ),
        ({"_experts_implementation_internal": "evil/x"}, "attention-from-hub", "critical"),
        ({"_attn_implementation_internal": "sdpa"}, "internal-key", "low"),
        ({"kernel_config": {"RMSNorm": "evil/kernels:Norm"}}, "kernels-from-hub", "high"),
        ({"trust_remote_code": True}, "trust-remote-code", "high"),
        ({"quantization_config": {"trust_remote_code": "yes"}}, "trust-remote-code", "high"),
        ({"quantization_config": {"tokenizer": "./evil"}}, "quantization-tokenizer", "medium"),
        ({"quantization_config": {"tokenizer": "facebook/opt-125m"}}, "quantization-tokenizer", "low"),
        ({"model": {"_target_": "nemo.collections.X"}}, "hydra-target", "medium"),
        ({"model": [{"_target_": "os.system", "command": "id"}]}, "hydra-target", "critical"),
        ({"_target_": "torch.hub.load"}, "hydra-target", "critical"),
        ({"custom_generate": "evil/generate"}, "custom-generate", "high"),
        ({"vocab_file": "../../../etc/passwd"}, "path-escape", "high"),
        ({"a": {"speaker_embeddings_path": "/etc/shadow"}}, "path-escape", "high"),
        ({"chat_template_path": "file:///x"}, "path-escape", "high"),
    ],
)
def test_each_rule(value: Any, rule: str, severity: str) -> None:
    assert found(value) == {f"config/{rule}": severity}


def test_other_files_may_be_lists_but_must_be_json() -> None:
    assert found(b"[]", "modules.json") == {}
    assert found(b"{", "x/other.json") == {"config/malformed": "medium"}
    assert found(b'{"a":1,"a":2}', "vocab.json") == {}


ORDINARY: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "_name_or_path": "/root/models/../base", "attn_implementation": None,
    "_attn_implementation_autoset": True, "_attn_implementation": "flash_attention_2", "torch_dtype": "bfloat16",
    "attn_implementation_paged": "paged|sdpa", "quantization_config": {"tokenizer": None, "trust_remote_code": False},
    "tokenizer_file": "/root/.cache/huggingface/hub/x/tokenizer.json", "conv_kernel": 4, "conv_kernel_sizes": [1, 2],
    "use_mamba_kernels": True, "rope_scaling": {"type": "yarn"}, "task_specific_params": {"path": "a/b"},
    "model_path": "models/x", "chat_template": "{% if a %}../x{% endif %}", "kernel_size": 3, "filename": "model.gguf",
    "moe_implementation": "eager", "uri": "https://github.com/x/y", "label2id": {"a/b": 0, "--": 1},
}  # fmt: skip


def test_ordinary_configuration() -> None:
    assert found(ORDINARY) == {}
    assert found(ORDINARY, "tokenizer_config.json") == {}
    training = {"output_dir": "../runs", "log_path": "../x", "trust_remote_code": False}
    assert found(training, "training_args.json") == {}


def test_numbers_that_json_does_not_have() -> None:
    findings = BOOK.findings(ConfigFile("config.json", read_json(b'{"time_step_limit":[0.0,Infinity]}')))
    assert quiet(findings) == {"config/odd-number"}
    assert loud(findings) == {}


@pytest.mark.parametrize(
    "target",
    ["os.system", "subprocess.Popen", "builtins.eval", "posix.system", "importlib.import_module", "torch.load",
     "numpy.load", "shutil.rmtree", "x.y.exec", "runpy.run_path", "pickle.loads", "a.b.popen"],
)  # fmt: skip
def test_dangerous(target: str) -> None:
    assert is_dangerous(target)


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.Linear",
        "nemo.collections.asr.X",
        "ostrich.run",
        "transformers.AutoModel",
        "my.evaluator",
        "codecs.x",
    ],
)
def test_not_dangerous(target: str) -> None:
    assert not is_dangerous(target)
