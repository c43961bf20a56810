"""Steps on disk: whole or not there, refused for other inputs, the same bits when read."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError, OtherAudit  # noqa: E402
from realign.job import Step  # noqa: E402
from realign.step_store import INPUTS, StepStore  # noqa: E402

KEY = {"parent": "ab" * 32, "seed": 3, "grids": ["q_proj", 4]}


def step(number: int) -> Step:
    generator = torch.Generator().manual_seed(number)
    tensors = {
        "codes": torch.randint(0, 255, (3, 5), generator=generator, dtype=torch.uint8),
        "scales": torch.randn(3, 2, generator=generator).half(),
        "odd": torch.tensor([float("nan"), -0.0, 1e-45]),
        "turned": torch.randn(4, 6, generator=generator).T,
    }
    return Step(f"layer {number}", tensors, {"reconstruction.before": 0.1 + number / 3}, 1.5)


def same(left: Step, right: Step) -> bool:
    return (
        (left.name, dict(left.losses), left.seconds) == (right.name, dict(right.losses), right.seconds)
        and left.tensors.keys() == right.tensors.keys()
        and all(
            torch.equal(
                t.contiguous().view(torch.uint8).flatten(),
                right.tensors[n].contiguous().view(torch.uint8).flatten(),
            )
            and t.dtype == right.tensors[n].dtype
            for n, t in left.tensors.items()
        )
    )


def filled(folder: Path, count: int) -> StepStore:
    store = StepStore(folder, KEY, resume=False)
    for number in range(count):
        store.add(step(number))
    return store


def test_what_is_stored_comes_back_to_the_bit(tmp_path: Path) -> None:
    filled(tmp_path / "steps", 3)
    found = StepStore(tmp_path / "steps", KEY, resume=True).load()
    assert len(found) == 3
    assert all(same(found[number], step(number)) for number in range(3))


def test_goes_on_after_the_steps_that_are_there(tmp_path: Path) -> None:
    filled(tmp_path / "steps", 2)
    store = StepStore(tmp_path / "steps", KEY, resume=True)
    assert len(store.load()) == 2
    store.add(step(2))
    assert [s.name for s in StepStore(tmp_path / "steps", KEY, resume=True).load()] == [
        "layer 0", "layer 1", "layer 2",
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["safetensors", "json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_step_and_all_after_it_are_made_again(tmp_path: Path, part: str, damage: str) -> None:
    filled(tmp_path / "steps", 3)
    path = tmp_path / "steps" / f"00001.{part}"
    raw = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    else:
        path.write_bytes(raw.replace(b"sha256", b"sha255") if part == "json" else raw[:-1] + b"\x07")
    store = StepStore(tmp_path / "steps", KEY, resume=True)
    assert [s.name for s in store.load()] == ["layer 0"]
    store.add(step(1))
    assert [s.name for s in store.load()] == ["layer 0", "layer 1", "layer 2"]


def test_steps_of_other_inputs_are_refused_by_name(tmp_path: Path) -> None:
    filled(tmp_path / "steps", 1)
    with pytest.raises(OtherAudit, match="seed differ"):
        StepStore(tmp_path / "steps", {**KEY, "seed": 4}, resume=True)
    with pytest.raises(OtherAudit, match="more"):
        StepStore(tmp_path / "steps", {**KEY, "more": 1}, resume=True)
    (tmp_path / "steps" / INPUTS).write_text("[]")
    with pytest.raises(OtherAudit, match="is not what"):
        StepStore(tmp_path / "steps", KEY, resume=True)


def test_without_resume_it_starts_anew(tmp_path: Path) -> None:
    filled(tmp_path / "steps", 2)
    assert StepStore(tmp_path / "steps", {**KEY, "seed": 4}, resume=False).load() == ()
    assert StepStore(tmp_path / "none", KEY, resume=True).load() == ()


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_an_error(tmp_path: Path, loss: float) -> None:
    store = StepStore(tmp_path / "steps", KEY, resume=False)
    with pytest.raises(InputError, match="layer 9: kl is"):
        store.add(Step("layer 9", {}, {"kl": loss}, 0.0))
    assert StepStore(tmp_path / "steps", KEY, resume=True).load() == ()
