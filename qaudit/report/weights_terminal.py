"""A look at weights for people: what the checkpoint is, why, which tensors say so, and what is not known.

Every text from outside is made presentable and never read as markup.
"""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from qaudit.findings import Finding
from qaudit.report.inspection_terminal import STATUS_STYLES, STYLES, WIDTH
from qaudit.report.untrusted import one_line
from qaudit.weight_values import ComparedTensor, TensorState, WeightKind, WeightsLook, WeightsMeasure

ANSWERS: dict[WeightKind, str] = {
    "identical": "the reference's own weights, bit for bit as they decode",
    "rounding": "a plain quantization of the reference",
    "directional_ablation": "ABLATED: not a plain quantization of the reference",
    "low_rank_edit": "RE-TUNED (few directions): not a plain quantization of the reference",
    "fine_tune": "RE-TUNED: not a plain quantization of the reference",
    "few_changes": "EDITED in a few tensors: otherwise the reference, quantized",
}
NOTHING_KNOWN = "not known: nothing could be compared"
# gravest first
SHOWN_STATES: tuple[TensorState, ...] = ("ablated", "changed", "unjudged")
_LONGEST = 600
_LONGEST_NAME = 80
MOST_TENSORS = 20
MOST_UNCOMPARED = 20
_LEGEND = (
    "x rounding: distance from the reference's over that of rounding to the stored type (honest files stay "
    "under 2); x noise: the strongest direction of the change over that of noise (honest: under 2)"
)


def text(look: WeightsLook) -> str:
    """Return what `render` prints, without colours: for a file."""
    written = io.StringIO()
    render(look, Console(file=written, width=WIDTH, highlight=False, no_color=True))
    return written.getvalue()


def render(look: WeightsLook, console: Console) -> None:
    """Print the answer, the reasons, the tensors and what was not compared."""
    head = Text(look.status.upper(), style=STATUS_STYLES[look.status])
    names = f" {one_line(look.checkpoint.path, _LONGEST)} against {one_line(look.reference.path, _LONGEST)}"
    head.append(names, style="default")
    _say(console, head)
    measure = look.metrics.weights
    _say(console, Text(f"it is: {_answer(look, measure)}", style="bold"))
    if measure is not None and not look.findings:
        _say(console, Text(f"why: {one_line(measure.sentence, _LONGEST)}"))
    _say(console, Text(one_line(_about(look, measure), _LONGEST), style="dim"))
    for finding in look.findings:
        _finding(finding, console)
    if measure is not None:
        _tensors(measure, console)
    _uncompared(look, console)
    _say(console, Text("weights only: whether it still refuses is what `qaudit audit` measures", style="dim"))


def _answer(look: WeightsLook, measure: WeightsMeasure | None) -> str:
    if measure is None:
        return NOTHING_KNOWN
    as_far = ", as far as it could be compared" if look.uncompared else ""
    return f"{ANSWERS[measure.kind]}{as_far}"


def _about(look: WeightsLook, measure: WeightsMeasure | None) -> str:
    ours = look.checkpoint
    bits = "" if ours.bits_per_weight is None else f", {ours.bits_per_weight:.2f} bits per weight"
    claims = ", ".join(f"{name} {value}" for name, value in look.claims.items())
    compared = "nothing compared"
    if measure is not None:
        compared = f"compared: {len(measure.tensors)} tensors, {measure.parameters:,} weights"
    return (
        f"{ours.format} {ours.architecture} ({ours.quantization}{bits}); "
        + (f"it claims: {claims}; " if claims else "")
        + f"{compared}; fails on {look.fail_on}; {look.duration_s:.2f} s"
    )


def _finding(finding: Finding, console: Console) -> None:
    line = Text("  ")
    line.append(f"{finding.severity:>8}", style=STYLES[finding.severity])
    line.append(f"  {one_line(finding.title, _LONGEST)}  ")
    line.append(one_line(finding.id, _LONGEST), style="dim")
    _say(console, line)
    _indented(console, one_line(finding.evidence, _LONGEST), "")
    _indented(console, f"to do: {one_line(finding.remedy, _LONGEST)}", "")
    if finding.references:
        _indented(console, one_line(", ".join(finding.references), _LONGEST), "dim")


def _tensors(measure: WeightsMeasure, console: Console) -> None:
    """Print the tensors that something was done to; where nothing was, each stored type in a line."""
    shown = [tensor for tensor in measure.tensors if tensor.state in SHOWN_STATES]
    if not shown:
        _by_type(measure.tensors, console)
        return
    shown.sort(key=lambda tensor: (SHOWN_STATES.index(tensor.state), -(tensor.edge_ratio or 0.0)))
    table = Table(
        "tensor", "stored", "", "x rounding", "x noise", "taken out", title="Tensors, gravest first"
    )
    table.columns[0].overflow = "fold"
    for column in table.columns[3:]:
        column.justify = "right"
    for tensor in shown[:MOST_TENSORS]:
        table.add_row(
            Text(one_line(tensor.name, _LONGEST_NAME)),
            Text(one_line(tensor.stored, _LONGEST_NAME)),
            Text(tensor.state),
            _figure(tensor.excess),
            _figure(tensor.edge_ratio),
            "" if tensor.strength is None else f"{100 * tensor.strength:.0f} %",
        )
    console.print(table)
    if len(shown) > MOST_TENSORS:
        more = f"and {len(shown) - MOST_TENSORS} more tensors; --format json tells all"
        _say(console, Text(more, style="dim"))
    _say(console, Text(_LEGEND, style="dim"))


def _by_type(tensors: Sequence[ComparedTensor], console: Console) -> None:
    by_type: dict[str, list[ComparedTensor]] = {}
    for tensor in tensors:
        if tensor.state == "rounded" and tensor.excess is not None:
            by_type.setdefault(tensor.stored, []).append(tensor)
    for stored, same in sorted(by_type.items()):
        most = max(tensor.excess or 0.0 for tensor in same)
        line = f"  {one_line(stored, _LONGEST_NAME)}: {len(same)} matrices, at most {most:.2f} times rounding"
        _say(console, Text(line, style="dim"))


def _uncompared(look: WeightsLook, console: Console) -> None:
    for left in look.uncompared[:MOST_UNCOMPARED]:
        line = f"not compared: {left.name}: {left.why}"
        _say(console, Text(f"  {one_line(line, _LONGEST)}", style="yellow"))
    if len(look.uncompared) > MOST_UNCOMPARED:
        more = f"  and {len(look.uncompared) - MOST_UNCOMPARED} more; --format json tells all"
        _say(console, Text(more, style="yellow"))


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _indented(console: Console, told: str, style: str) -> None:
    console.print(Padding(Text(told, style=style), (0, 0, 0, 12), expand=False))


def _say(console: Console, told: Text) -> None:
    # a Text is printed as it is: no markup, no emoji names, no highlighting
    console.print(told, soft_wrap=True)
