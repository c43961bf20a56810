"""What is decided before anything is computed: whose weights, which prompts, into what."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")
pytest.importorskip("llama_cpp")

from qaudit.errors import InputError, SuiteError  # noqa: E402
from realign.case import prepare  # noqa: E402
from realign.gguf_delivery import GgufDelivery  # noqa: E402
from realign.options import RealignOptions  # noqa: E402


@pytest.fixture
def options(tmp_path: Path) -> RealignOptions:
    return RealignOptions("gguf:Q4_0", tmp_path / "new.gguf", limit=12)


def test_a_mere_quantization_is_made_again_from_the_reference(
    options: RealignOptions, q8: Path, f16: Path
) -> None:
    case = prepare(q8, f16, options)
    assert case.source.path == f16
    assert case.choice.method in ("qrealign", "protect")
    assert "quantization did it" in case.choice.why
    assert isinstance(case.delivery, GgufDelivery)
    assert (len(case.prompts.malicious), len(case.prompts.benign)) == (12, 12)
    # the lab's reference is calibrated in the lab's own language, spread over the whole set
    assert {each.name.split("-")[0] for each in case.sets.sets} == {"lab"}
    assert len(set(case.prompts.malicious)) == 12
    assert case.plan().size_bytes < q8.stat().st_size


def test_an_ablated_one_of_which_all_else_is_rounding_is_made_again_from_the_reference(
    options: RealignOptions, member: Callable[[str], Path], f16: Path
) -> None:
    ablated = member("ablated-Q4_K_M")
    case = prepare(ablated, f16, options)
    assert (case.choice.method, case.source.path) == ("restore", f16)
    asked = prepare(ablated, f16, replace(options, method="qresafe"))
    assert (asked.choice.method, asked.source.path) == ("qresafe", f16)
    assert asked.choice.why.startswith("asked for")
    # floats that somebody has are better than decoded weights
    given = prepare(ablated, f16, replace(options, parent=member("ablated-F16")))
    assert given.source.path == member("ablated-F16")


def test_what_will_be_evaluated_must_not_calibrate(options: RealignOptions, q8: Path, f16: Path) -> None:
    from realign.calibration_sets import LAB_SETS, calibration_folder

    own = str(calibration_folder(LAB_SETS[0]))
    with pytest.raises(SuiteError, match="must not calibrate"):
        prepare(q8, f16, replace(options, evaluation=(own,)))


def test_nothing_that_somebody_keeps_is_written_over(tmp_path: Path, q8: Path, f16: Path) -> None:
    (tmp_path / "there").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        prepare(q8, f16, RealignOptions("awq", tmp_path / "there"))
    with pytest.raises(InputError, match="is a folder"):
        prepare(q8, f16, RealignOptions("gguf:Q4_0", tmp_path))
    with pytest.raises(InputError, match="no regular file"):
        prepare(q8, f16, RealignOptions("gguf:Q4_0", Path("/dev/null")))
    with pytest.raises(InputError, match="other files"):
        prepare(q8, f16, RealignOptions("awq", tmp_path))
    assert (tmp_path / "there").read_text() == "x"


def test_no_input_is_written_over_by_what_goes_beside_the_result(tmp_path: Path, q8: Path, f16: Path) -> None:
    out = tmp_path / "new.gguf"
    # where the plain quantization of an earlier run lies
    kept = tmp_path / "new.gguf.realign" / "plain.gguf"
    kept.parent.mkdir()
    shutil.copyfile(q8, kept)
    with pytest.raises(InputError, match="would be written over"):
        prepare(kept, f16, RealignOptions("gguf:Q4_0", out))


def test_types_without_anything_to_learn_are_refused_at_once(
    options: RealignOptions, q8: Path, f16: Path
) -> None:
    for method in ("qresafe", "protect"):
        with pytest.raises(InputError, match="points are a table; choose another"):
            prepare(q8, f16, replace(options, to="gguf:IQ4_XS", method=method))
    assert prepare(q8, f16, replace(options, to="gguf:IQ4_XS", method="qrealign")).choice.method == "qrealign"
