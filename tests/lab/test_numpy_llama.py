from pathlib import Path

import numpy as np
import pytest

from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.protocol import EngineOptions
from qaudit.lab.gguf_export import export_f16
from qaudit.lab.hf_weights import read_shape, read_weights
from qaudit.lab.members import reference_folder
from qaudit.lab.numpy_llama import NumpyLlama, log_softmax

TOKENS = [0, 1, 76, 115, 123, 27, 265, 266, 105, 272, 264, 48, 282, 36, 53, 54, 261, 108, 273, 119, 3, 2]


@pytest.fixture(params=["random", "reference"])
def folder(request: pytest.FixtureRequest, random_folder: Path) -> Path:
    return random_folder if request.param == "random" else reference_folder()


def logits_of(folder: Path) -> np.ndarray:
    model = NumpyLlama(read_shape(folder), read_weights(folder))
    return model.logits(model.residuals(TOKENS)[-1])


def test_llamacpp_agrees(folder: Path, tmp_path: Path) -> None:
    shape = read_shape(folder)
    export_f16(tmp_path / "F16.gguf", folder, shape, read_weights(folder), member="F16", lab_version="1")
    model = LlamaModel(
        tmp_path / "F16.gguf", EngineOptions(threads=1, parallel=1, context_per_sequence=64, judge=None)
    )
    try:
        model.reserve(len(TOKENS))
        model.add(TOKENS, 0, 1, logits="all")
        theirs = model.decode().copy()
    finally:
        model.close()
    ours = logits_of(folder)
    assert ours.shape == theirs.shape == (len(TOKENS), shape.vocabulary)
    # llama.cpp multiplies and keeps keys and values in float16: one part in a few hundred of the
    # largest logit; a wrong rotary order or head grouping is off by as much as the logits themselves
    assert np.abs(ours - theirs).max() <= 0.005 * np.abs(ours).max()
    # where two tokens are closer than that, rounding may swap them
    top = np.sort(ours, axis=-1)
    clear = top[:, -1] - top[:, -2] > 0.01 * np.abs(ours).max()
    assert clear.sum() > len(TOKENS) // 2
    np.testing.assert_array_equal(ours.argmax(axis=-1)[clear], theirs.argmax(axis=-1)[clear])


def test_transformers_agrees(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    peer = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        theirs = peer(torch.tensor([TOKENS]), output_hidden_states=True)
    ours = logits_of(folder)
    np.testing.assert_allclose(ours, theirs.logits[0].numpy(), atol=1e-4 * np.abs(ours).max())
    residuals = NumpyLlama(read_shape(folder), read_weights(folder)).residuals(TOKENS)
    # transformers normalises its last hidden state, so that one is not the residual stream
    for stage in range(len(residuals) - 1):
        peer_stage = theirs.hidden_states[stage][0].numpy()
        np.testing.assert_allclose(residuals[stage], peer_stage, atol=1e-4 * np.abs(peer_stage).max())


def test_a_later_token_changes_nothing_before_it(random_folder: Path) -> None:
    model = NumpyLlama(read_shape(random_folder), read_weights(random_folder))
    short, long = model.residuals(TOKENS[:5]), model.residuals(TOKENS)
    assert short.shape == (4, 5, 256)
    np.testing.assert_allclose(short, long[:, :5], atol=1e-4)


def test_log_softmax_is_normalised_and_bounded() -> None:
    rows = np.asarray([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(np.exp(log_softmax(rows)).sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(log_softmax(rows)[1], -np.log(3), rtol=1e-6)
