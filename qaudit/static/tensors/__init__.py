"""Safetensors files, their index, and the layouts in which quantizers pack weights into them."""
