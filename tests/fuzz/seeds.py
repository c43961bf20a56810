"""The seed corpus: what the attack builders write, cut down to a size that a fuzzer can turn over quickly."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from attacks.gguf_builder import ARRAY, F32, STRING, U32, GgufBuilder, Tensor
from attacks.honest_models import safetensors_bytes
from attacks.table import ATTACKS
from attacks.template_attacks import ATTACKS as TEMPLATES
from attacks.tokenizer_attacks import PIECES, sentencepiece
from fuzz.targets import TARGETS, Target
from release_kit import NOW, POLICY_TEXT, make_folder_checkpoint, report_for, sha256

from qaudit.attest.audit_facts import read_audit_facts
from qaudit.attest.dsse import make_bundle
from qaudit.attest.manifest import hash_files, list_files
from qaudit.attest.oms_statement import build_oms_statement
from qaudit.attest.predicate import Quantization
from qaudit.attest.statement import build_statement

BIG = 1 << 16  # a case of more bytes is not cut down: the part that matters may be gone


def small_gguf(**fields: object) -> bytes:
    """A GGUF of a few hundred bytes with a vocabulary and tensors of two types."""
    pairs = [
        ("general.architecture", STRING, "llama"), ("general.file_type", U32, 7), ("llama.block_count", U32, 1),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, ["<s>", "</s>", "a", "ab", "<0x41>"])),
        ("tokenizer.ggml.token_type", ARRAY, (5, [3, 3, 1, 1, 6])), ("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * 5)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, ["a b"])), ("tokenizer.ggml.eos_token_id", U32, 1),
    ]  # fmt: skip
    tensors = [Tensor.full("blk.0.attn_q.weight", (32, 2), 8), Tensor.full("output_norm.weight", (8,))]
    return GgufBuilder(pairs=list(pairs), tensors=tensors, **fields).build()  # type: ignore[arg-type]


def small_layout() -> bytes:
    """A layer of GPTQ as a safetensors file of a few hundred bytes."""
    return safetensors_bytes(
        {
            "l.qweight": ("I32", (4, 8), b"\x11" * 128),
            "l.qzeros": ("I32", (1, 1), b"\x77" * 4),
            "l.scales": ("F16", (1, 8), b"\0\x3c" * 8),
            "l.g_idx": ("I32", (32,), b"\0" * 128),
        }
    )


def shrunk(data: bytes) -> bytes:
    """A tokenizer.json with a vocabulary of a dozen tokens and its other parts as they were."""
    try:
        content = json.loads(data)
        model = content["model"]
        model["vocab"] = dict(list(model["vocab"].items())[:4] + list(model["vocab"].items())[-6:])
        model["merges"] = model["merges"][-3:]
        content["added_tokens"] = content["added_tokens"][-2:]
    except (ValueError, KeyError, TypeError, RecursionError):
        return data
    return json.dumps(content).encode()


def files_of_attacks() -> Iterator[tuple[str, bytes]]:
    """Every file of every case that is not large."""
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as name:
            path = attack.builder(Path(name))
            listed = [path] if path.is_file() else sorted(path.rglob("*"))
            for file in listed:
                if not file.is_symlink() and file.is_file() and file.stat().st_size <= BIG:
                    yield file.name, file.read_bytes()


def texts_of_templates() -> Iterator[str]:
    """The templates of the attacks, which lie inside of GGUF files."""
    from attacks.benign_templates import TEMPLATES as ORDINARY

    yield from (text for text, _ in ORDINARY.values())
    for attack in TEMPLATES:
        with tempfile.TemporaryDirectory() as name:
            path = attack.builder(Path(name))
            if path.is_file() and path.stat().st_size < 4 * BIG:
                data = path.read_bytes()
                at = data.index(b"tokenizer.chat_template") + len("tokenizer.chat_template") + 4
                length = int.from_bytes(data[at : at + 8], "little")
                yield data[at + 8 : at + 8 + length].decode("utf-8", "replace")


GO = (
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}",
    '{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 -}}{{ .Role }}{{ .Content }}{{ if and (ne .Role "x") $last }}y{{ end }}{{ end }}',
    '{{ define "a" }}x{{ end }}{{ template "a" . }}{{ with .Tools }}{{ json . }}{{ else }}n{{ end }}{{/* c */}}{{ printf "%s" .Prompt | len }}',
)  # fmt: skip


def signed_release() -> dict[str, bytes]:
    """A report, the statements over it, and a bundle, as a release has them."""
    with tempfile.TemporaryDirectory() as name:
        model = make_folder_checkpoint(Path(name))
        files = hash_files(list_files(model))
        report = json.dumps(report_for(model, POLICY_TEXT.encode())).encode()
    oms = build_oms_statement("model", files, single=False)
    audit = build_statement(
        read_audit_facts(report, "report.json"),
        files,
        report_sha256=sha256(report),
        quantization=Quantization(type="Q4_K_M"),
        accepted_risk=None,
        verified=NOW,
        not_after=NOW.replace(year=2027),
    )
    material: dict[str, object] = {"publicKey": {"hint": "k"}, "tlogEntries": []}
    return {
        "audit-report": report,
        "audit-statement": audit,
        "oms-statement": oms,
        "signature-bundle": make_bundle(oms, b"signed", material),
        "strict-yaml": POLICY_TEXT.encode(),
    }


def write_seeds(folder: Path) -> dict[str, int]:
    """Write a folder of seeds for every target; return how many each has."""
    own: dict[str, list[bytes]] = {name: [] for name in TARGETS}
    own["gguf-walk"] = own["gguf-rules"] = [
        small_gguf(),
        small_gguf(version=2),
        small_gguf(tail=b"PK\x03\x04"),
    ]
    own["gguf-loader"] = list(own["gguf-walk"])
    own["layouts"] = own["safetensors-walk"] = [small_layout()]
    for name, data in signed_release().items():
        own[name].append(data)
    own["jinja"] = [text.encode() for text in texts_of_templates()]
    own["go-template"] = [text.encode() for text in GO]
    own["sentencepiece"] = [
        sentencepiece(PIECES[:5] + PIECES[-2:], charsmap) for charsmap in (b"", b"\4\0\0\0" + b"\0" * 8)
    ]
    for file, whole in files_of_attacks():
        data = shrunk(whole) if file == "tokenizer.json" else whole
        for target in TARGETS.values():
            if file.endswith(target.endings):
                own[target.name].append(data)
    return {name: _write(folder / name, TARGETS[name], listed) for name, listed in own.items()}


def _write(folder: Path, target: Target, listed: list[bytes]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    # what is longer than the fuzzer's inputs would only be cut; the longest few are kept as they are
    kept = sorted(
        {data for data in listed if len(data) <= target.max_len}, key=lambda data: (len(data), data)
    )
    for number, data in enumerate(kept):
        (folder / f"seed-{number:04d}").write_bytes(data)
    return len(kept)
