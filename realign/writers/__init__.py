"""Putting integers into files: `QuantizedLinear` -> the tensors and configuration of a format."""
