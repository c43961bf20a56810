import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from qaudit.errors import InputError  # noqa: E402
from qaudit.lab import grammar  # noqa: E402
from qaudit.lab.members import reference_folder  # noqa: E402
from realign.job import CalibrationTokens  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402
from realign.separation_probes import (  # noqa: E402
    fisher_ratio,
    fit_probe,
    fit_probes,
    separation,
    separation_rows,
    split_of,
)


def clouds(
    count: int = 100, width: int = 40, gap: float = 4.0, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes that differ in channels 3 and 7 alone, on scales and middles as residual streams have them."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn((2 * count, width), generator=draw)
    rows[:count, 3] += gap
    rows[:count, 7] -= gap
    scale = torch.logspace(-2, 2, width)
    shifted = rows * scale + 5 * scale
    return shifted[:count], shifted[count:]


def lab_tokens() -> CalibrationTokens:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(reference_folder(), local_files_only=True)

    def ids(prompts: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        chats = ([{"role": "user", "content": prompt}] for prompt in prompts)
        return tuple(
            tuple(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))
            for chat in chats
        )

    harmful, harmless = grammar.calibration_prompts()
    return CalibrationTokens(ids(harmful), ids(harmless))


def test_fisher_ratio_by_hand() -> None:
    malicious = torch.tensor([[3.0, 0.0], [5.0, 0.0]])
    benign = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    # means (4, 0) and (0, 0); every point is 1 away from its own
    assert fisher_ratio(malicious, benign) == pytest.approx(16.0)
    assert fisher_ratio(10 * malicious, 10 * benign) == pytest.approx(16.0)
    assert fisher_ratio(benign, benign) == 0.0


def test_unequal_classes_count_by_prompts() -> None:
    malicious = torch.tensor([[4.0], [4.0], [4.0]])
    benign = torch.tensor([[2.0], [-2.0]])
    assert fisher_ratio(malicious, benign) == pytest.approx(16 / (8 / 5))


def test_a_class_without_spread_is_no_division_by_zero() -> None:
    same = torch.ones((3, 4))
    assert fisher_ratio(same, same) == 0.0
    assert fisher_ratio(same, 2 * same) > 1e6


def test_a_split_holds_every_prompt_once() -> None:
    split = split_of(50, 31, seed=3)
    assert sorted(split.malicious + split.held_malicious) == list(range(50))
    assert sorted(split.benign + split.held_benign) == list(range(31))
    assert (len(split.held_malicious), len(split.held_benign)) == (10, 6)
    assert split == split_of(50, 31, seed=3)
    assert split != split_of(50, 31, seed=4)


def test_too_few_prompts() -> None:
    with pytest.raises(InputError, match="9 malicious and 40 benign"):
        split_of(9, 40, seed=0)


def test_a_probe_finds_the_channels_on_raw_activations() -> None:
    malicious, benign = clouds()
    probe = fit_probe(malicious, benign, split_of(100, 100, 1), seed=1)
    assert probe.accuracy >= 0.95
    assert set(torch.nonzero(probe.weight).flatten().tolist()) >= {3, 7}
    assert probe.nonzero < 20
    assert probe.weight[3] > 0 > probe.weight[7]
    # the whole sum, bias and all, is right without any scaling
    assert (probe.score(malicious) > 0).float().mean() > 0.95
    assert (probe.score(benign) < 0).float().mean() > 0.95
    assert probe.malicious == pytest.approx(float((malicious @ probe.weight).mean()) + probe.bias, rel=1e-4)
    assert probe.malicious > 0 > probe.benign
    assert probe.converged


def test_a_channel_that_never_changes_is_not_read() -> None:
    malicious, benign = clouds()
    for side in (malicious, benign):
        side[:, 5] = 1234.5
        side[:, 6] = 0.0
    probe = fit_probe(malicious, benign, split_of(100, 100, 1), seed=1)
    assert probe.weight[5] == probe.weight[6] == 0
    assert probe.weight.isfinite().all()


def test_classes_that_cannot_be_told_apart_are_reported_as_such() -> None:
    malicious, benign = clouds(count=200, gap=0.0)
    probe = fit_probe(malicious, benign, split_of(200, 200, 1), seed=1)
    assert 0.3 < probe.accuracy < 0.7


def test_a_small_class_is_not_drowned() -> None:
    malicious, benign = clouds(count=300)
    malicious = malicious[:20]
    probe = fit_probe(malicious, benign, split_of(20, 300, 1), seed=1)
    assert (probe.score(malicious) > 0).float().mean() > 0.9


def test_training_does_not_look_at_what_is_held_out() -> None:
    malicious, benign = clouds()
    split = split_of(100, 100, 1)
    probe = fit_probe(malicious, benign, split, seed=1)
    turned = malicious.clone()
    turned[list(split.held_malicious)] = benign[: len(split.held_malicious)]
    other = fit_probe(turned, benign, split, seed=1)
    assert torch.equal(other.weight, probe.weight)
    assert other.accuracy < 0.6


def test_strengths_are_the_callers_if_given() -> None:
    malicious, benign = clouds()
    split = split_of(100, 100, 1)
    sparse = fit_probe(malicious, benign, split, seed=1, strengths=(0.02,))
    dense = fit_probe(malicious, benign, split, seed=1, strengths=(10.0,))
    assert (sparse.strength, dense.strength) == (0.02, 10.0)
    assert sparse.nonzero < dense.nonzero
    assert dense.malicious > sparse.malicious


def test_damaged_weights() -> None:
    malicious, benign = clouds()
    malicious[3, 3] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        fit_probe(malicious, benign, split_of(100, 100, 1), seed=1)


def test_the_labs_reference_tells_harm_from_the_rest() -> None:
    model, tokens = load_float(reference_folder()), lab_tokens()
    probes = fit_probes(model, tokens, seed=1)
    assert len(probes) == model.config.num_hidden_layers
    assert probes[-1].accuracy > 0.9
    assert probes[-1].fisher > probes[0].fisher
    again = fit_probes(model, tokens, seed=1)
    assert all(
        torch.equal(a.weight, b.weight) and a.bias == b.bias for a, b in zip(probes, again, strict=True)
    )

    same = separation(model, tokens, probes, seed=1)
    for probe, layer in zip(probes, same, strict=True):
        assert (layer.fisher, layer.accuracy) == (probe.fisher, probe.accuracy)
        assert (layer.malicious, layer.benign) == pytest.approx((probe.malicious, probe.benign), rel=1e-5)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("proj.weight"):
                # three levels: what two bits a weight leave of it
                step = parameter.abs().mean() * 1.6
                parameter.copy_((parameter / step).round().clamp(-1, 1) * step)
    after = separation(model, tokens, probes, seed=1)
    assert after[-1].fisher < same[-1].fisher
    rows = separation_rows(probes, {"failing": after, "realigned": same})
    assert json.loads(json.dumps(rows)) == rows
    assert rows[-1]["reference"] == rows[-1]["realigned"] | {
        side: pytest.approx(rows[-1]["reference"][side]) for side in ("malicious", "benign")
    }
    assert rows[-1]["failing"]["fisher"] == after[-1].fisher


def test_probes_of_another_model(grouped: Path) -> None:
    model, tokens = load_float(reference_folder()), lab_tokens()
    probes = fit_probes(model, tokens, seed=1, strengths=(0.1,))
    with pytest.raises(InputError, match="layer 2 has no probe"):
        separation(model, tokens, probes[:2], seed=1)
    with pytest.raises(InputError, match="probes for 3 layers"):
        separation(model, tokens, (*probes, probes[0]), seed=1)
    narrow = [replace(probe, weight=probe.weight[:-1]) for probe in probes]
    with pytest.raises(InputError, match="layer 0 has no probe"):
        separation(model, tokens, narrow, seed=1)
