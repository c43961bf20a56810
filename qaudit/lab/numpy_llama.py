"""A float32 forward pass of the Llama architecture in numpy, small enough to read in one go.

Token ids -> residual stream after every layer, and logits. It measures the refusal direction on
machines without torch; it is the check on the GGUF export too, because llama.cpp must agree with it.
Weights are in Hugging Face layout (rotary halves, not llama.cpp's interleaved order).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.lab.hf_weights import LlamaShape


class NumpyLlama:
    """A Llama that reads one prompt at a time.

    Shapes: T tokens, L layers, D hidden, H heads, K key-value heads, S head size, V vocabulary.
    """

    def __init__(self, shape: LlamaShape, weights: Mapping[str, FloatArray]) -> None:
        self.shape = shape
        self.weights = weights
        # frequency of rotary pair i: theta^(-2i/S)
        self._frequencies = shape.rope_theta ** (-np.arange(0, shape.head_size, 2) / shape.head_size)

    def residuals(self, tokens: Sequence[int]) -> FloatArray:
        """Return the residual stream at every position: [L + 1, T, D], the embeddings first."""
        stream = self.weights["model.embed_tokens.weight"][np.asarray(tokens)]
        stages = [stream]
        cosine, sine = self._rotation(len(tokens))
        for layer in range(self.shape.layers):
            stream = stream + self._attend(stream, f"model.layers.{layer}", cosine, sine)
            stream = stream + self._feed_forward(stream, f"model.layers.{layer}")
            stages.append(stream)
        return np.stack(stages)

    def logits(self, stream: FloatArray) -> FloatArray:
        """Map the last layer's residual stream [..., D] to logits [..., V]."""
        head = "model.embed_tokens.weight" if self.shape.tied else "lm_head.weight"
        logits: FloatArray = self._normalise(stream, "model.norm.weight") @ self.weights[head].T
        return logits

    def _normalise(self, stream: FloatArray, name: str) -> FloatArray:
        mean_square = np.mean(np.square(stream), axis=-1, keepdims=True)
        scaled: FloatArray = (
            stream / np.sqrt(mean_square + np.float32(self.shape.rms_epsilon)) * self.weights[name]
        )
        return scaled

    def _rotation(self, length: int) -> tuple[FloatArray, FloatArray]:
        # [T, 1, S/2]; angles in double precision, as late positions lose digits in single
        angles = np.outer(np.arange(length), self._frequencies)[:, None, :]
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def _attend(self, stream: FloatArray, layer: str, cosine: FloatArray, sine: FloatArray) -> FloatArray:
        shape, length = self.shape, len(stream)
        normal = self._normalise(stream, f"{layer}.input_layernorm.weight")

        def project(name: str, heads: int) -> FloatArray:
            # [T, heads, S]
            rows: FloatArray = normal @ self.weights[f"{layer}.self_attn.{name}.weight"].T
            return rows.reshape(length, heads, shape.head_size)

        queries = _rotate(project("q_proj", shape.heads), cosine, sine)
        keys = _rotate(project("k_proj", shape.kv_heads), cosine, sine)
        # each key-value head serves H / K query heads in a row
        group = shape.heads // shape.kv_heads
        keys = np.repeat(keys, group, axis=1)
        values = np.repeat(project("v_proj", shape.kv_heads), group, axis=1)
        scores = np.einsum("qhs,khs->hqk", queries, keys) / np.sqrt(np.float32(shape.head_size))
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        mixed = np.einsum("hqk,khs->qhs", _softmax(scores), values).reshape(length, -1)
        written: FloatArray = mixed @ self.weights[f"{layer}.self_attn.o_proj.weight"].T
        return written

    def _feed_forward(self, stream: FloatArray, layer: str) -> FloatArray:
        normal = self._normalise(stream, f"{layer}.post_attention_layernorm.weight")
        gate = normal @ self.weights[f"{layer}.mlp.gate_proj.weight"].T
        gated = gate / (1 + np.exp(-gate)) * (normal @ self.weights[f"{layer}.mlp.up_proj.weight"].T)
        written: FloatArray = gated @ self.weights[f"{layer}.mlp.down_proj.weight"].T
        return written


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return natural-log probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _softmax(scores: FloatArray) -> FloatArray:
    return np.exp(log_softmax(scores))


def _rotate(heads: FloatArray, cosine: FloatArray, sine: FloatArray) -> FloatArray:
    first, second = np.split(heads, 2, axis=-1)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
