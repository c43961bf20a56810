"""Rules on a projector file (mmproj): sizes that loaders of images and sound divide and allocate by."""

import math
import re
from array import array
from collections.abc import Iterator

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.numbers import real_number, whole_number, whole_numbers
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[GgufWalk] = RuleBook("projector", "Files that bring images or sound to a model.")

MAX_BLOCKS = 512
MAX_SIDE = 1 << 14  # pixels
MAX_PIXELS = 1 << 27
MAX_PATCHES = 1024  # along a side: what tables of positions are made for
MAX_CHUNK = 8192
MAX_WIDTH = 1 << 17
_BLOCK = re.compile(rb"(v|a)\.blk\.(\d{1,9})\.")
_ENCODERS = ("clip.vision", "clip.audio")
# name -> least, most
_BOUNDS = {
    "block_count": (1, MAX_BLOCKS), "embedding_length": (1, MAX_WIDTH), "feed_forward_length": (1, 1 << 20),
    "projection_dim": (1, MAX_WIDTH), "attention.head_count": (1, 1 << 12), "patch_size": (1, 1 << 10),
    "image_size": (1, MAX_SIDE), "image_crop_resolution": (1, MAX_SIDE), "preproc_image_size": (1, MAX_SIDE),
    "image_min_pixels": (1, MAX_PIXELS), "image_max_pixels": (1, MAX_PIXELS), "spatial_merge_size": (1, 64),
    "projector.scale_factor": (1, 64), "window_size": (1, MAX_SIDE), "n_wa_pattern": (1, MAX_BLOCKS),
    "num_mel_bins": (1, 1 << 12), "projector.stack_factor": (1, 256), "chunk_size": (1, MAX_CHUNK),
    "conv_kernel_size": (1, 1 << 10),
}  # fmt: skip
_TYPED = ("clip.vision.image_mean", "clip.vision.image_std")
_SOURCES = ("llama.cpp #27166", "llama.cpp #27202", "llama.cpp #27223", "llama.cpp #27224")


@BOOK.rule(
    "out-of-bounds",
    "high",
    title="a size of the image or sound encoder is out of bounds",
    why="Loaders divide by these numbers and set aside memory by them before anything is checked.",
    remedy="do not load it; convert the original model again",
    sources=_SOURCES,
)
def _bounds(walk: GgufWalk) -> Iterator[Hit]:
    for encoder in _ENCODERS:
        for name, (least, most) in _BOUNDS.items():
            key = f"{encoder}.{name}"
            for number in whole_numbers(walk, key)[:1]:
                # a count of pixels, a crop or a window of 0 is how "none" is said
                none = number == 0 and name in ("image_crop_resolution", "window_size", "n_wa_pattern")
                if not least <= number <= most and not none:
                    yield Hit(f"{walk.name}:{key}", f"{number}, expected {least} to {most}")


@BOOK.rule(
    "patches",
    "high",
    title="patches do not fit the image",
    why="The number of patches along a side is an index into a table of positions.",
    remedy="do not load it; convert the original model again",
    sources=_SOURCES,
)
def _patches(walk: GgufWalk) -> Iterator[Hit]:
    size = whole_number(walk, "clip.vision.image_size")
    patch = whole_number(walk, "clip.vision.patch_size")
    place = f"{walk.name}:clip.vision.patch_size"
    if size is not None and patch is not None and patch > 0 and size > 0:
        if patch > size:
            yield Hit(place, f"patches of {patch} pixels, images of {size}")
        elif size // patch > MAX_PATCHES:
            yield Hit(place, f"{size // patch} patches along a side, tables have {MAX_PATCHES}")
    low = whole_number(walk, "clip.vision.image_min_pixels")
    high = whole_number(walk, "clip.vision.image_max_pixels")
    if low is not None and high is not None and low > high:
        yield Hit(f"{walk.name}:clip.vision.image_min_pixels", f"at least {low} and at most {high} pixels")


@BOOK.rule(
    "head-division",
    "high",
    title="the encoder's heads do not divide its width",
    why="Loaders divide by these numbers.",
    remedy="do not load it; convert the original model again",
)
def _heads(walk: GgufWalk) -> Iterator[Hit]:
    for encoder in _ENCODERS:
        width = whole_number(walk, f"{encoder}.embedding_length")
        heads = whole_number(walk, f"{encoder}.attention.head_count")
        if width and heads and heads > 0 and width > 0 and width % heads:
            yield Hit(f"{walk.name}:{encoder}.attention.head_count", f"{heads} heads for {width} columns")


@BOOK.rule(
    "blocks-differ",
    "high",
    title="the encoder's blocks are not those of the tensors",
    why="The loader reads as many blocks as are declared.",
    remedy="do not load it; convert the original model again",
    sources=("llama.cpp #27166",),
)
def _blocks(walk: GgufWalk) -> Iterator[Hit]:
    if walk.architecture != "clip" or not walk.complete:
        return
    for letter, encoder in zip((b"v", b"a"), _ENCODERS, strict=True):
        declared = whole_number(walk, f"{encoder}.block_count")
        found = (_BLOCK.match(entry.name) for entry in walk.tensors)
        held = {int(match[2]) for match in found if match and match[1] == letter}
        # some encoders leave out the last blocks, whose output nobody reads
        if declared is not None and held and max(held) >= declared:
            yield Hit(f"{walk.name}:{encoder}.block_count", f"{declared} blocks, tensors up to {max(held)}")


@BOOK.rule(
    "layer-number",
    "high",
    title="a list names a block that is not there",
    why="The loader uses the number as an index.",
    remedy="do not load it; convert the original model again",
)
def _layers(walk: GgufWalk) -> Iterator[Hit]:
    declared = whole_number(walk, "clip.vision.block_count")
    for name in ("feature_layer", "wa_layer_indexes"):
        key = f"clip.vision.{name}"
        for number in whole_numbers(walk, key)[: MAX_BLOCKS * 2]:
            # counted from the end where negative; the output of the last block has the number of blocks
            if declared is not None and not -declared - 1 <= number <= declared:
                yield Hit(f"{walk.name}:{key}", f"block {number} of {declared}")


@BOOK.rule(
    "bad-normalisation",
    "high",
    title="pixels are scaled by no usable number",
    why="Every image comes out as infinity, or as whatever the runtime does with NaN.",
    remedy="do not load it; convert the original model again",
)
def _pixels(walk: GgufWalk) -> Iterator[Hit]:
    for key in _TYPED:
        value = walk.metadata.get(key)
        if isinstance(value, array) and value.typecode in "fd":
            wrong = [x for x in value[:16] if not math.isfinite(x) or (key.endswith("std") and x <= 0)]
            if wrong:
                yield Hit(f"{walk.name}:{key}", f"{wrong[0]}")
    for encoder in _ENCODERS:
        key = f"{encoder}.attention.layer_norm_epsilon"
        number = real_number(walk, key)
        if number is not None and not 0 <= number <= 0.1:
            yield Hit(f"{walk.name}:{key}", f"{number}")
