"""Every hostile case, by family."""

from attacks import (
    evasion_attacks,
    gguf_attacks,
    metadata_attacks,
    pickle_attacks,
    repository_attacks,
    safetensors_attacks,
    template_attacks,
    tokenizer_attacks,
)
from attacks.cases import Attack

ATTACKS: list[Attack] = [
    *gguf_attacks.ATTACKS,
    *metadata_attacks.ATTACKS,
    *template_attacks.ATTACKS,
    *safetensors_attacks.ATTACKS,
    *pickle_attacks.ATTACKS,
    *repository_attacks.ATTACKS,
    *tokenizer_attacks.ATTACKS,
    *evasion_attacks.ATTACKS,
]
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(attack.family for attack in ATTACKS))
