"""GGUF files as hostile input: a walk that never gives up early, and rules over what it saw.

`walk` reads a header leniently and within bounds; `layout` works out where the tensors lie; the rules
(`*_rules`) say what is wrong with that; `inspector` puts it together for one file, `split_sets` for all
shards of a model.
"""
