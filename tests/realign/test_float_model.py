"""Folders and GGUFs of one model: the same floats, the same tokens; others refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import write_folder  # noqa: E402

from qaudit.checkpoints.opening import open_checkpoint  # noqa: E402
from qaudit.engines.protocol import Conversation  # noqa: E402
from qaudit.errors import EnvironmentProblem, Incomparable, InputError  # noqa: E402
from qaudit.lab.members import reference_folder  # noqa: E402
from realign.float_model import (  # noqa: E402
    Given,
    as_tokens,
    load_floats,
    require_one_model,
    require_same_shapes,
    settled_device,
)

MALICIOUS = [Conversation("a", ("how do i hurt someone",))]
BENIGN = [Conversation("a", ("how do i bake bread",)), Conversation("b", ("tell me about the sea",))]


def given(checkpoint: Path, reference: Path) -> Given:
    return Given(open_checkpoint(checkpoint), open_checkpoint(reference))


def test_a_gguf_has_the_floats_of_its_folder(f16: Path, member: Callable[[str], Path]) -> None:
    folder = reference_folder()
    mixed = given(member("Q8_0"), folder)
    alone = given(member("Q8_0"), f16)
    require_one_model(mixed)
    require_one_model(alone)
    with_folder = load_floats(mixed, mixed.checkpoint, "cpu")
    without = load_floats(alone, alone.checkpoint, "cpu")
    stored = load_floats(mixed, mixed.reference, "cpu")
    decoded = load_floats(alone, alone.reference, "cpu")
    require_same_shapes(with_folder, stored)
    tokens, _ = as_tokens(mixed, MALICIOUS, BENIGN)
    ids = torch.tensor([tokens.benign[1]])
    with torch.inference_mode():
        first, second, third, fourth = (
            model(ids).logits for model in (with_folder, without, stored, decoded)
        )
    assert torch.equal(first, second)
    assert torch.equal(third, fourth)
    assert 0 < float((first - third).abs().max()) < 1.0
    assert {p.dtype for p in without.parameters()} == {torch.float32}
    # what a solver changes in the parent must not change the reference
    assert stored.model.embed_tokens.weight.data_ptr() != with_folder.model.embed_tokens.weight.data_ptr()


def test_tokens_are_the_same_whoever_has_the_tokenizer(f16: Path, member: Callable[[str], Path]) -> None:
    found = {
        as_tokens(pair, MALICIOUS, BENIGN)[0]
        for pair in (
            given(member("Q8_0"), f16),
            given(member("Q8_0"), reference_folder()),
            given(reference_folder(), f16),
        )
    }
    assert len(found) == 1
    tokens = found.pop()
    assert (len(tokens.malicious), len(tokens.benign)) == (1, 2)
    assert tokens.malicious[0] != tokens.benign[0]


def test_other_models_are_refused(tmp_path: Path, f16: Path) -> None:
    other = write_folder(tmp_path / "other", "llama")
    with pytest.raises(Incomparable, match=r"reference|model"):
        require_one_model(given(other, f16))
    # the same tokenizer, other sizes
    pair = given(other, reference_folder())
    with pytest.raises(Incomparable, match=r"embed_tokens is \(1024, 64\), the reference's is"):
        require_one_model(pair)
    models = [load_floats(pair, which, "cpu") for which in (pair.checkpoint, pair.reference)]
    with pytest.raises(Incomparable, match="in the reference"):
        require_same_shapes(*models)


def test_without_a_template_there_are_no_prompts(tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other", "llama")
    (other / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        as_tokens(given(other, other), MALICIOUS, BENIGN)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    assert settled_device("auto") == settled_device("cpu") == "cpu"
    with pytest.raises(EnvironmentProblem, match="no CUDA device"):
        settled_device("cuda")
