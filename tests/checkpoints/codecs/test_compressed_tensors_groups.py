"""Which group of a quantization_config has a module, and configurations that are none."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoints.by_hand import module_of
from checkpoints.codecs.compressing import GROUP, compressed, ints

from qaudit.checkpoints.codecs.compressed_tensors import CompressedTensors, Groups
from qaudit.errors import MalformedFile


def groups_of(*targets: list[str], **more: Any) -> Groups:
    weights = ints(4, **GROUP)
    return Groups(
        {
            "format": "pack-quantized",
            "config_groups": {
                f"g{i}": {"targets": names, "weights": weights} for i, names in enumerate(targets)
            },
            **more,
        }
    )


@pytest.fixture
def codec_in(tmp_path: Path) -> Callable[[Groups, str], CompressedTensors]:
    matrix = compressed("pack-quantized", ints(4, **GROUP), 8, 64)

    def codec(groups: Groups, module: str) -> CompressedTensors:
        return groups.codec_for(module_of(tmp_path / "x", matrix.parts, module))

    return codec


def test_which_group_has_a_module(codec_in: Callable[[Groups, str], CompressedTensors]) -> None:
    groups = groups_of(["re:.*q_proj$", "model.layers.0.k_proj"], ["re:model.layers.1.*"])
    first, second = groups._schemes
    assert codec_in(groups, "model.layers.1.q_proj").scheme is first
    assert codec_in(groups, "model.layers.0.k_proj").scheme is first
    assert codec_in(groups, "model.layers.1.v_proj").scheme is second
    with pytest.raises(MalformedFile, match=r"model\.layers\.0\.v_proj: is compressed, but no group"):
        codec_in(groups, "model.layers.0.v_proj")
    assert codec_in(groups_of(["Embedding"], ["Linear"]), "any.module").format == "pack-quantized"
    # the only group has every module, whatever its targets are called
    assert codec_in(groups_of(["LlamaAttention"]), "any.module").format == "pack-quantized"


def test_bits_of_all_groups() -> None:
    assert groups_of(["Linear"]).bits == "4-bit"
    both = {"a": {"targets": ["x"], "weights": ints(8)}, "b": {"targets": ["y"], "weights": ints(4)}}
    assert Groups({"format": "pack-quantized", "config_groups": both}).bits == "4/8-bit"


def test_a_format_that_the_library_does_not_know(
    codec_in: Callable[[Groups, str], CompressedTensors],
) -> None:
    with pytest.raises(MalformedFile, match="the format 'marlin-24' is not known to compressed-tensors here"):
        codec_in(groups_of(["Linear"], format="marlin-24"), "model.proj")


def test_a_group_without_weights(codec_in: Callable[[Groups, str], CompressedTensors]) -> None:
    groups = Groups({"format": "pack-quantized", "config_groups": {"g": {"targets": ["Linear"]}}})
    with pytest.raises(MalformedFile, match="no group of the quantization_config has it"):
        codec_in(groups, "model.proj")


@pytest.mark.parametrize(
    "pattern",
    [
        "re:(",
        "re:[",
        "re:(a+)+$",
        "re:(.*)*x",
        "re:.*.*.*.*x",
        "re:(?P<n>a)(?P<n>b)",
        "re:(a|a){40}x",
        pytest.param("re:a{4294967296}"),
        pytest.param("re:" + "(" * 5000 + ")" * 5000, id="nested"),
    ],
)
def test_patterns_that_are_broken_or_take_for_ever(
    codec_in: Callable[[Groups, str], CompressedTensors], pattern: str
) -> None:
    with pytest.raises(MalformedFile, match="pattern"):
        codec_in(groups_of([pattern], ["Linear"]), "a" * 200)


def give_up(number: int, frame: object) -> None:
    raise TimeoutError


@pytest.mark.parametrize("pattern", ["a?" * 40 + "x", "(a|aa)" * 40 + "x"], ids=["optional", "alternatives"])
def test_patterns_without_stars_that_take_for_ever(
    codec_in: Callable[[Groups, str], CompressedTensors], pattern: str
) -> None:
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        with pytest.raises(MalformedFile, match="pattern"):
            codec_in(groups_of(["re:" + pattern], ["Linear"]), "a" * 200)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_a_pattern_may_do_depends_on_the_names_length(
    codec_in: Callable[[Groups, str], CompressedTensors],
) -> None:
    groups = groups_of([r"re:.*a.*(q|k|v)_proj.*$"], ["Linear"])
    codec_in(groups, "model.a.q_proj")
    with pytest.raises(MalformedFile, match="pattern that could take for ever"):
        codec_in(groups, "a" * 200)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"config_groups": {}},
        {"config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": "four"}}}},
        {
            "config_groups": {
                "g": {"targets": ["Linear"], "weights": ints(4, strategy="group", actorder="group")}
            }
        },
    ],
    ids=["nothing", "no groups", "bits of text", "act-order"],
)
def test_configurations_that_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Groups(config)
