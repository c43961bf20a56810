import io
from dataclasses import replace

from rich.console import Console
from sample_look import MATRICES, failing, hostile, inconclusive, passing

from qaudit.report.weights_terminal import MOST_TENSORS, MOST_UNCOMPARED, render, text
from qaudit.weight_values import Uncompared, WeightMetrics


def test_an_honest_file_is_told_in_a_few_lines() -> None:
    lines = text(passing()).splitlines()
    assert lines[:3] == [
        "PASS tiny-Q4_K_M.gguf against tiny-F16.gguf",
        "it is: a plain quantization of the reference",
        "why: no matrix is off",
    ]
    assert "it claims: quantizer someone" in lines[3]
    assert "compared: 4 tensors, 393,472 weights" in lines[3]
    assert lines[4] == "  Q4_K: 3 matrices, at most 0.88 times rounding"
    assert "qaudit audit" in lines[-1]
    assert len(lines) == 6


def test_an_ablated_one_says_so_with_the_tensors_that_show_it() -> None:
    shown = text(failing())
    assert shown.splitlines()[:2] == [
        "FAIL tiny-Q4_K_M.gguf against tiny-F16.gguf",
        "it is: ABLATED: not a plain quantization of the reference",
    ]
    assert shown.count("a direction was taken out of 1 matrix") == 1
    assert "to do: do not use it" in shown
    row = next(line for line in shown.splitlines() if "blk.0.ffn_down" in line and "│" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "blk.0.ffn_down", "Q4_K", "ablated", "6.25", "75.60", "98 %",
    ]  # fmt: skip
    # what is only rounded is in no table
    assert "blk.1.ffn_up" not in shown


def test_what_was_not_compared_is_said_and_is_no_answer() -> None:
    shown = text(inconclusive())
    assert shown.startswith("INCONCLUSIVE")
    assert "it is: not known: nothing could be compared" in shown
    assert "not compared: the whole checkpoint: shares no matrix with the reference" in shown
    left = tuple(Uncompared(f"x{n}", "why") for n in range(MOST_UNCOMPARED + 2))
    some = text(replace(passing(), status="inconclusive", uncompared=left))
    assert "it is: a plain quantization of the reference, as far as it could be compared" in some
    assert "and 2 more; --format json tells all" in some


def test_many_tensors_are_cut_and_the_cut_is_told() -> None:
    measure = failing().metrics.weights
    assert measure is not None
    many = tuple(
        replace(MATRICES[0], name=f"m{n}", state="changed", edge_ratio=None) for n in range(MOST_TENSORS + 3)
    )
    shown = text(replace(failing(), metrics=WeightMetrics(replace(measure, tensors=many))))
    assert "and 3 more tensors" in shown


def test_nothing_of_a_stranger_reaches_the_terminal_as_it_is() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False)
    render(hostile(), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b]" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert all(len(line) < 5000 for line in shown.splitlines())
