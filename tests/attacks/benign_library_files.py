"""Ordinary files that the libraries wrote which people use: gguf-py, llama.cpp, safetensors, torch, transformers, numpy.

The libraries are imported where they are needed: they take seconds.
"""

from pathlib import Path
from typing import Any

from attacks.benign_templates import TEMPLATES
from attacks.cases import Builder
from attacks.honest_models import BLOCKS, HEADS, KEYS, MERGES, SPECIAL, tokens


def gguf_py(**options: Any) -> Builder:
    """A llama by gguf-py, quantized by it where `quantized` names a type."""

    def build(folder: Path) -> Path:
        import gguf
        import numpy as np

        kind = gguf.GGMLQuantizationType[options.get("quantized", "F16")]
        path = folder / "model.gguf"
        writer = gguf.GGUFWriter(path, "llama", split_max_tensors=options.get("split", 0))
        writer.add_name("Small Test Model")
        writer.add_size_label("1.3M")
        writer.add_license("apache-2.0")
        writer.add_languages(["en"])
        writer.add_tags(["text-generation"])
        writer.add_block_count(BLOCKS)
        writer.add_context_length(512)
        writer.add_embedding_length(256)
        writer.add_feed_forward_length(512)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEYS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(64)
        writer.add_rope_freq_base(10000.0)
        writer.add_vocab_size(len(tokens()))
        writer.add_file_type(getattr(gguf.LlamaFileType, options.get("file_type", "MOSTLY_F16")))
        writer.add_quantization_version(2)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("llama-bpe")
        writer.add_token_list(list(tokens()))
        writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens()])
        writer.add_token_merges(list(MERGES))
        writer.add_bos_token_id(tokens().index(SPECIAL[0]))
        writer.add_eos_token_id(tokens().index(SPECIAL[2]))
        writer.add_pad_token_id(tokens().index(SPECIAL[3]))
        writer.add_chat_template(TEMPLATES["smol"][0])
        if options.get("alignment"):
            writer.add_custom_alignment(options["alignment"])
        draw = np.random.default_rng(7)
        shapes = {"token_embd": (len(tokens()), 256), "output": (len(tokens()), 256)}
        for block in range(BLOCKS):
            shapes |= {
                f"blk.{block}.attn_q": (256, 256), f"blk.{block}.attn_k": (128, 256), f"blk.{block}.attn_v": (128, 256),
                f"blk.{block}.attn_output": (256, 256), f"blk.{block}.ffn_gate": (512, 256), f"blk.{block}.ffn_up": (512, 256),
                f"blk.{block}.ffn_down": (256, 512),
            }  # fmt: skip
            for norm in ("attn_norm", "ffn_norm"):
                writer.add_tensor(f"blk.{block}.{norm}.weight", draw.normal(1, 0.02, 256).astype(np.float32))
        writer.add_tensor("output_norm.weight", draw.normal(1, 0.02, 256).astype(np.float32))
        for name, shape in shapes.items():
            values = draw.normal(0, 0.05, shape).astype(np.float32)
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return folder if options.get("split") else path

    return build


def llama_cpp_quantized(file_type: str) -> Builder:
    """A file that llama.cpp's own quantizer wrote."""

    def build(folder: Path) -> Path:
        from qaudit.lab.quantize import quantize

        (folder / "source").mkdir()
        source = gguf_py()(folder / "source")
        quantize(source, folder / f"model-{file_type}.gguf", file_type, member="benign")
        return folder / f"model-{file_type}.gguf"

    return build


def torch_saved(**options: Any) -> Builder:
    """A state_dict that torch saved."""

    def build(folder: Path) -> Path:
        import torch

        torch.manual_seed(7)
        names = {
            "model.embed_tokens.weight": (64, 16),
            "model.norm.weight": (16,),
            "lm_head.weight": (64, 16),
        }
        made = {
            name: torch.randn(shape).to(options.get("dtype", torch.float16)) for name, shape in names.items()
        }
        torch.save(
            made, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not options.get("legacy")
        )
        return folder / "pytorch_model.bin"

    return build


def safetensors_saved(folder: Path) -> Path:
    """A file by the safetensors library, of several types and with an empty tensor."""
    import numpy as np
    from safetensors.numpy import save_file

    draw = np.random.default_rng(7)
    made = {
        "a.weight": draw.normal(0, 1, (8, 8)).astype(np.float16), "b.weight": draw.normal(0, 1, (3, 5)).astype(np.float32),
        "c.mask": np.array([True, False]), "d.ids": np.arange(7, dtype=np.int64), "e.empty": np.zeros((0, 4), np.float32),
    }  # fmt: skip
    save_file(made, folder / "model.safetensors", metadata={"format": "pt"})
    return folder / "model.safetensors"


def transformers_saved(folder: Path) -> Path:
    """A folder by transformers, in shards, with the lab's tokenizer."""
    from hf_folders import write_folder

    return write_folder(folder / "model", "llama", eos_token_id=3)


def transformers_sharded(folder: Path) -> Path:
    """A folder by transformers in several shards with an index."""
    from tiny_llamas import tiny_llama

    tiny_llama(7).save_pretrained(folder / "model", max_shard_size="40KB")
    return folder / "model"


def numpy_saved(folder: Path) -> Path:
    """Arrays of numbers by numpy."""
    import numpy as np

    np.save(folder / "embeddings.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    np.savez(folder / "embeddings.npz", a=np.arange(5), b=np.ones((2, 2)))
    return folder
