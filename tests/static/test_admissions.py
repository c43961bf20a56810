"""Names that admit that refusals were taken out, however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.admissions import admission


@pytest.mark.parametrize(
    "name",
    [
        "Model-7B-uncensored-GGUF", "model-abliterated.gguf", "heretic", "abl1terated", "ab1iterated-v2", "unc3nsored",
        "a b l i t e r a t e d", "h3retic-Q4_K_M", "u_n_c_e_n_s_o_r_e_d", "un-cen-sored", "unсensоred", "АBLITERATED",
        "4bl1t3r4t3d", "UNCENSORED", "ａｂｌｉｔｅｒａｔｅｄ", "j4ilbroken", "dan-mode", "safety-off", "un-restricted", "ünfíltered", "Llama-3-d3c3ns0red",
        "unaligned-7b", "7b_un-aligned", "LlamaUnaligned", "no-refuse", "Model-NoRefusals", "no refusals at all", "no-ref-usals",
        "x-de-restricted", "LlamaUnrestricted", "n_o_r_e_f_u_s_a_l_s",
    ],
)  # fmt: skip
def test_it_is_read(name: str) -> None:
    assert admission(name)


@pytest.mark.parametrize(
    "name",
    [
        "Qwen3-4B-Instruct-2507-Q4_K_M.gguf", "DeepSeek-R1-Distill-Llama-8B", "Meta-Llama-3.1-70B", "phi-4-mini", "",
        "model-00001-of-00003.safetensors", "Mixtral-8x7B-v0.1", "модель-на-русском", "مرحبا", "a-b-c-d-e-f-g", "granite-3.3",
        "theoretical-physics-7b", "censored-corpus", "gpt-oss-20b-mxfp4", "SmolLM2-1.7B", "aligned-with-care",
        "Jordan-Model-7B", "dan-modern-bert", "safety-officer", "unrestricted-use", "Hermes-3", "OpenHeretics",
        "sun-aligned", "sunaligned-3b", "casino-refuse", "casino-refusals-7b", "Techno refusals", "mode-restricted", "code-restricted-8b",
        "run-restricted", "fun restricted",
    ],
)  # fmt: skip
def test_ordinary_names_admit_nothing(name: str) -> None:
    assert admission(name) == ""


@given(st.text(max_size=200))
def test_any_name_is_read(name: str) -> None:
    assert isinstance(admission(name), str)
