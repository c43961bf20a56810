import pytest

from qaudit.static.model_parts import ModelParts, TemplateText, TensorRow, VocabularyView
from qaudit.static.models import is_adapter, put_together, reference_for


def gguf(name: str, *, size: int = 1, kind: str = "model", **settings: object) -> ModelParts:
    return ModelParts(
        name,
        "gguf",
        tensors=(TensorRow("t", (size,), "F32", size),),
        settings={"general.type": kind, **settings},
    )


def test_shards_of_a_set_are_one_model_and_other_files_others() -> None:
    names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "n.gguf", "sub/m-00001-of-00002.gguf"]
    models = put_together([(name, gguf(name)) for name in names])
    assert [(m.location, len(m.tensors)) for m in models] == [
        ("m-00001-of-00002.gguf", 2),
        ("n.gguf", 1),
        ("sub/m-00001-of-00002.gguf", 1),
    ]


def test_files_of_a_folder_are_one_model_and_the_first_to_tell_counts() -> None:
    vocabulary = VocabularyView("tokenizer.json", "BPE", ["a"])
    template = TemplateText("chat_template.jinja", "default", "x")
    row = TensorRow("t", (1,), "F16", 2)
    (model, other) = put_together(
        [
            ("a.safetensors", ModelParts("a.safetensors", "safetensors", tensors=(row,))),
            ("b.safetensors", ModelParts("b.safetensors", "safetensors", tensors=(row,), settings={"k": 1})),
            ("", ModelParts("tokenizer.json", "", vocabulary=vocabulary, settings={"k": 2, "l": 3})),
            ("", ModelParts("v", "", templates=(template,))),
            ("", ModelParts("v", "", templates=(template,))),
            ("unet/a.safetensors", ModelParts("unet/a.safetensors", "safetensors", tensors=(row,))),
        ]
    )
    assert (model.format, len(model.tensors), model.vocabulary) == ("safetensors", 2, vocabulary)
    assert model.templates == (template,)
    assert model.settings == {"k": 1, "l": 3}
    assert other.location == "unet/a.safetensors"


def test_nothing_found_is_no_model() -> None:
    assert put_together([]) == ()


def test_a_candidate_is_compared_with_what_is_most_like_it() -> None:
    small, large = gguf("small", size=1), gguf("large", size=9)
    folder = ModelParts("f", "safetensors", tensors=(TensorRow("t", (99,), "F16", 99),))
    assert reference_for(gguf("c"), [small, large, folder]) is large
    assert reference_for(gguf("c"), [folder]) is folder
    assert reference_for(ModelParts("c", "awq"), [small, folder]) is folder
    assert reference_for(gguf("c"), []) is None


@pytest.mark.parametrize("kind", ["mmproj", "imatrix"])
def test_a_companion_is_compared_with_its_like_only(kind: str) -> None:
    assert reference_for(gguf("c", kind=kind), [gguf("model", size=9)]) is None
    like = gguf("like", kind=kind)
    assert reference_for(gguf("c", kind=kind), [gguf("model", size=9), like]) is like
    assert reference_for(gguf("c"), [like]) is None


def test_an_adapter_is_laid_beside_the_model_that_it_is_for() -> None:
    adapter, model = gguf("a", kind="adapter"), gguf("m")
    assert is_adapter(adapter)
    assert not is_adapter(model)
    assert reference_for(adapter, [model]) is model
    other = gguf("b", kind="adapter")
    assert reference_for(adapter, [model, other]) is other
    assert reference_for(adapter, [ModelParts("f", "safetensors")]) is None


def test_a_type_that_is_no_text_is_no_companion() -> None:
    assert reference_for(ModelParts("c", "gguf", settings={"general.type": 7}), [gguf("m")]) is not None
