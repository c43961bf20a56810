"""Codes of four bits -> the words and blocks that checkpoints store, and back, in plain torch.

AWQ ("gemm"): int32 [N, O/8]; a word holds eight neighbouring outputs in the order 0 2 4 6 1 3 5 7 from its
lowest bit. GPTQ: int32 [I/8, O]; a word holds eight neighbouring inputs in order. Q4_K (ggml): 256 inputs a
superblock of 144 bytes: d and dmin (float16), twelve bytes of eight 6-bit scales and eight 6-bit minima, and
128 bytes of codes; of each 64 inputs the first half is in the low nibbles, the second in the high ones.
"""

import torch
from torch import Tensor

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
TOGETHER = 8  # codes of a word
SUPERBLOCK = 256
SUBBLOCKS = 8
BLOCK_BYTES = 144


def packed_awq(codes: Tensor) -> Tensor:
    """Return int32 [N, O/8] of codes uint8 [O, N]: weights (N inputs) and zeros (N groups) alike."""
    by_word = codes.reshape(-1, TOGETHER, codes.shape[1])[:, list(AWQ_ORDER)]
    return _words(by_word).T.contiguous()


def unpacked_awq(words: Tensor) -> Tensor:
    """Return codes uint8 [O, N] of int32 [N, O/8]."""
    nibbles = _nibbles(words.T)
    found = torch.empty_like(nibbles)
    found[:, list(AWQ_ORDER)] = nibbles
    return found.reshape(-1, len(words))


def packed_gptq(codes: Tensor) -> Tensor:
    """Return int32 [I/8, O] of codes uint8 [O, I]."""
    return _words(codes.T.reshape(-1, TOGETHER, len(codes)))


def unpacked_gptq(words: Tensor) -> Tensor:
    """Return codes uint8 [O, I] of int32 [I/8, O]."""
    return _nibbles(words).reshape(-1, words.shape[1]).T.contiguous()


def packed_q4_k(codes: Tensor, scales: Tensor, minima: Tensor, steps: Tensor) -> Tensor:
    """Return superblocks uint8 [R, S * 144].

    Shapes:
        codes uint8 [R, S * 256]; scales and minima uint8 [R, S * 8], each below 64; steps float16 [R, S, 2],
        d and dmin: a weight is d * scale * code - dmin * minimum.
    """
    rows = len(codes)
    halves = codes.reshape(rows, -1, 4, 2, 32) & 15
    nibbles = (halves[:, :, :, 0] | halves[:, :, :, 1] << 4).reshape(rows, -1, SUPERBLOCK // 2)
    scales, minima = (each.reshape(rows, -1, 2, 4) & 63 for each in (scales, minima))
    # the last four of each have their high bits in the first eight bytes
    six = [each[:, :, 0] | (each[:, :, 1] >> 4) << 6 for each in (scales, minima)]
    four = (scales[:, :, 1] & 15) | (minima[:, :, 1] & 15) << 4
    header = steps.contiguous().view(torch.uint8).reshape(rows, -1, 4)
    return torch.cat([header, *six, four, nibbles], dim=2).reshape(rows, -1)


def unpacked_q4_k(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return codes, scales, minima and steps, as `packed_q4_k` takes them."""
    rows = len(blocks)
    parts = blocks.reshape(rows, -1, BLOCK_BYTES)
    steps = parts[:, :, :4].contiguous().view(torch.float16)
    first, second, four = parts[:, :, 4:16].reshape(rows, -1, 3, 4).unbind(dim=2)
    scales = torch.stack([first & 63, (four & 15) | (first >> 6) << 4], dim=2)
    minima = torch.stack([second & 63, four >> 4 | (second >> 6) << 4], dim=2)
    nibbles = parts[:, :, 16:].reshape(rows, -1, 4, 32)
    codes = torch.stack([nibbles & 15, nibbles >> 4], dim=3)
    return codes.reshape(rows, -1), scales.reshape(rows, -1), minima.reshape(rows, -1), steps


def _words(codes: Tensor) -> Tensor:
    # [A, 8, B] -> int32 [A, B], a place at a time: all at once would take eight times the memory
    words = torch.zeros(len(codes), codes.shape[2], dtype=torch.int32, device=codes.device)
    for place in range(TOGETHER):
        words |= (codes[:, place] & 15).to(torch.int32) << (4 * place)
    return words


def _nibbles(words: Tensor) -> Tensor:
    # int32 [A, B] -> uint8 [A, 8, B]
    codes = torch.empty(len(words), TOGETHER, words.shape[1], dtype=torch.uint8, device=words.device)
    for place in range(TOGETHER):
        codes[:, place] = (words >> (4 * place)) & 15
    return codes
