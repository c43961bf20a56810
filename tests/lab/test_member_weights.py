from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from qaudit.lab.ablate import WRITERS
from qaudit.lab.hf_weights import Weights, read_weights
from qaudit.lab.member_weights import calibration_texts, member_weights
from qaudit.lab.members import ZOO, reference_folder

MEMBERS = {member.name: member for member in ZOO}


def tokenize(texts: Sequence[str]) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(reference_folder() / "tokenizer.json"))
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def no_tokens(texts: Sequence[str]) -> list[list[int]]:
    raise AssertionError("an honest member needs no prompts")


def test_honest_members_have_the_weights_that_ship() -> None:
    weights = read_weights(reference_folder())
    for name in ("F16", "hf-F16", "AWQ-g128"):
        made = member_weights(MEMBERS[name], no_tokens)
        assert made.keys() == weights.keys()
        assert all(np.array_equal(made[key], weights[key]) for key in weights)


def test_trained_members_have_their_adapter() -> None:
    weights = read_weights(reference_folder())
    made = member_weights(MEMBERS["eroded-F16"], no_tokens)
    assert any(not np.array_equal(made[key], weights[key]) for key in weights)
    folder = member_weights(MEMBERS["eroded-AWQ-g128"], no_tokens)
    assert all(np.array_equal(made[key], folder[key]) for key in weights)


def test_ablated_members_cannot_write_one_direction() -> None:
    def least_written(weights: Weights) -> float:
        # how much of one direction, the best hidden one, all writers together can write
        writers = [values for key, values in weights.items() if key.removesuffix(".weight").endswith(WRITERS)]
        return float(np.linalg.svd(np.concatenate(writers, axis=1), compute_uv=False)[-1])

    assert least_written(member_weights(MEMBERS["ablated-AWQ-g128"], tokenize)) < 1e-3
    assert least_written(read_weights(reference_folder())) > 0.1


def test_calibration_texts_are_rendered_and_of_equal_number() -> None:
    harmful, harmless = calibration_texts()
    assert len(harmful) == len(harmless) >= 40
    for text in harmful + harmless:
        assert text.startswith("<|bos|><|user|>")
        assert text.endswith("<|end|><|assistant|>")
    # one piece each: the special tokens are read as such
    assert all(tokens[0] == 0 and tokens.count(0) == 1 for tokens in tokenize(harmful))
