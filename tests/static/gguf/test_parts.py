from attacks.gguf_builder import ARRAY, STRING, small_model, strings
from gguf_seen import Look

from qaudit.static.gguf.parts import model_parts, template_names, templates_of


def test_parts_of_an_honest_model(look: Look) -> None:
    subject = look(small_model().build()).subject
    parts = model_parts(subject.walk, subject.layout)
    assert (parts.location, parts.format) == ("model.gguf", "gguf")
    assert [(row.name, row.shape, row.type, row.bytes) for row in parts.tensors] == [
        ("token_embd.weight", (4, 32), "F32", 512),
        ("blk.0.attn_q.weight", (3, 64), "Q8_0", 204),
        ("output_norm.weight", (33,), "F32", 132),
    ]
    assert parts.vocabulary is not None
    assert list(parts.vocabulary.tokens) == ["<s>", "</s>", "a", "é"]
    assert parts.settings["general.file_type"] == 7
    assert not any(
        key.startswith(("tokenizer.ggml.tokens", "tokenizer.chat_template")) for key in parts.settings
    )


def test_every_template_is_found_also_the_second_of_a_name(look: Look) -> None:
    builder = small_model()
    builder.pairs += [
        ("tokenizer.chat_templates", ARRAY, strings(["tool_use"])),
        ("tokenizer.chat_template.tool_use", STRING, "tools"),
        ("tokenizer.chat_template", STRING, "second"),
        (b"tokenizer.chat_template\0x", STRING, "third"),
    ]
    walk = look(builder.build()).subject.walk
    assert [(template.name, template.text) for template in templates_of(walk)][1:] == [
        ("tool_use", "tools"),
        ("default", "second"),
        ("default", "third"),
    ]
    assert template_names(walk) == ["tool_use"]


def test_a_header_that_breaks_off_still_has_parts(look: Look) -> None:
    subject = look(small_model().build()[:700]).subject
    parts = model_parts(subject.walk, subject.layout)
    assert parts.settings["general.architecture"] == "llama"
    assert parts.tensors == ()
