"""Choosing the integers: float weights and calibration activations -> `QuantizedLinear`."""
