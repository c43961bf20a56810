"""Ways to cut text: names as real llama.cpp takes them, tokenizer.json as the tokenizers library does."""

import ctypes
import itertools
import json
from pathlib import Path
from typing import Any

import gguf
import pytest

from qaudit.checkpoints.pre_tokenizers import DEFAULT, NAMES, PATTERNS, way_named, way_written

# words, short forms in both cases, digits by ones and by threes, letters of both cases, spaces, lines
PROBE = "it's IT'S 1234567 HelloWORLD $ab-x  y\n\n !!/\n."


def split(regex: str, behavior: str = "Isolated", *, invert: bool = False) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def byte_level(*, use_regex: bool, add_prefix_space: bool = False) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def sequence(*steps: object) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def digits(*, individual: bool) -> dict[str, Any]:
    return {"type": "Digits", "individual_digits": individual}


def pattern_of(way: str) -> str:
    return next(regex for regex, found in PATTERNS.items() if found == way)


# as the families' tokenizer.json files have them
WRITTEN = {
    "gpt-2": byte_level(use_regex=True),
    "starcoder": sequence(digits(individual=True), byte_level(use_regex=True)),
    **{
        way: sequence(split(pattern_of(way)), byte_level(use_regex=False))
        for way in ("llama-bpe", "qwen2", "tekken", "gpt-4o")
    },
}


def vocabulary(order: int) -> tuple[list[str], list[str]]:
    """Return tokens and merges that join any two neighbours of PROBE, the later ones first or last.

    Nothing longer is a token: some names also make llama.cpp take a whole word before any merge.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    ((text, _),) = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(PROBE)
    pairs = list(dict.fromkeys(itertools.pairwise(text)))[::order]
    return [*alphabet, *map("".join, pairs)], list(map(" ".join, pairs))


def as_tokenizers_cuts(pre_tokenizer: dict[str, Any]) -> list[int]:
    return [token for order in (1, -1) for token in tokenized(pre_tokenizer, *vocabulary(order))]


def tokenized(pre_tokenizer: dict[str, Any], tokens: list[str], merges: list[str]) -> list[int]:
    tokenizers = pytest.importorskip("tokenizers")
    model = {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}
    spec = {"version": "1.0", "added_tokens": [], "pre_tokenizer": pre_tokenizer, "model": model}
    return list(tokenizers.Tokenizer.from_str(json.dumps(spec)).encode(PROBE).ids)


def as_llama_cuts(path: Path, name: str | None) -> list[int]:
    return [token for order in (1, -1) for token in llama_tokenized(path, name, *vocabulary(order))]


def llama_tokenized(path: Path, name: str | None, tokens: list[str], merges: list[str]) -> list[int]:
    llama_cpp = pytest.importorskip("llama_cpp")
    writer = gguf.GGUFWriter(path, "llama")
    for key in ("context_length", "embedding_length", "block_count", "feed_forward_length", "head_count"):
        getattr(writer, f"add_{key}")(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    if name is not None:
        writer.add_tokenizer_pre(name)
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(merges)
    writer.add_add_bos_token(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    silent = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    options = llama_cpp.llama_model_default_params()
    options.vocab_only, options.n_gpu_layers = True, 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
    try:
        assert model, name
        found = (ctypes.c_int32 * 256)()
        text = PROBE.encode()
        vocab = llama_cpp.llama_model_get_vocab(model)
        count = llama_cpp.llama_tokenize(vocab, text, len(text), found, len(found), False, False)
        assert count > 0
        return list(found[:count])
    finally:
        llama_cpp.llama_model_free(model)


@pytest.mark.parametrize("name", [name for names in NAMES.values() for name in sorted(names)])
def test_names_that_are_put_together_cut_alike(name: str, tmp_path: Path) -> None:
    way = way_named(name)
    assert way is not None
    found = as_llama_cuts(tmp_path / "m.gguf", name)
    assert found == as_llama_cuts(tmp_path / "w.gguf", way)
    if way in WRITTEN:
        assert found == as_tokenizers_cuts(WRITTEN[way])


def test_ways_cut_otherwise() -> None:
    cuts = [tuple(as_tokenizers_cuts(written)) for written in WRITTEN.values()]
    assert len(set(cuts)) == len(WRITTEN)


def test_without_a_name_llama_cuts_as_by_default(tmp_path: Path) -> None:
    nameless = as_llama_cuts(tmp_path / "m.gguf", None)
    assert nameless == as_llama_cuts(tmp_path / "d.gguf", DEFAULT)
    assert all(nameless != as_tokenizers_cuts(written) for written in WRITTEN.values())
    assert way_named(None) == DEFAULT


@pytest.mark.parametrize("way", WRITTEN)
def test_what_families_write(way: str) -> None:
    assert way_written(WRITTEN[way]) == way
    assert way in NAMES[way]


def test_other_spellings_of_the_same() -> None:
    regex = pattern_of("gpt-2")
    assert way_written({"type": "ByteLevel", "add_prefix_space": False}) == "gpt-2"
    assert way_written(sequence(byte_level(use_regex=True))) == "gpt-2"
    assert way_written(sequence(split(regex), byte_level(use_regex=False))) == "gpt-2"
    removed = split(pattern_of("llama-bpe"), "Removed", invert=True)
    assert way_written(sequence(removed, byte_level(use_regex=False))) == "llama-bpe"
    assert as_tokenizers_cuts(sequence(removed, byte_level(use_regex=False))) == as_tokenizers_cuts(
        WRITTEN["llama-bpe"]
    )


@pytest.mark.parametrize(
    "written",
    [
        None,
        [],
        "ByteLevel",
        {},
        {"type": "Metaspace", "replacement": "\u2581"},
        {"type": "Sequence"},
        {"type": "Sequence", "pretokenizers": []},
        {"type": "Sequence", "pretokenizers": [None]},
        byte_level(use_regex=False),
        byte_level(use_regex=True, add_prefix_space=True),
        sequence(digits(individual=False), byte_level(use_regex=True)),
        sequence(digits(individual=True), byte_level(use_regex=False)),
        sequence(split(r"\s+"), byte_level(use_regex=False)),
        sequence(split(pattern_of("qwen2")), byte_level(use_regex=True)),
        sequence(split(pattern_of("qwen2"), "Removed"), byte_level(use_regex=False)),
        sequence(split(pattern_of("qwen2")), split(pattern_of("qwen2")), byte_level(use_regex=False)),
        sequence(split(pattern_of("qwen2"))),
        sequence(
            {"type": "Split", "pattern": "x", "behavior": "Isolated", "invert": False},
            byte_level(use_regex=False),
        ),
        sequence(*[digits(individual=True)] * 100, byte_level(use_regex=True)),
    ],
    ids=lambda written: str(written)[:60],
)
def test_of_what_is_not_known_nothing_is_claimed(written: object) -> None:
    assert way_written(written) is None


def test_of_other_names_nothing_is_claimed() -> None:
    assert way_named("a-name-of-tomorrow") is None
    assert way_named("") is None
