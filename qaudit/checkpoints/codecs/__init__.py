"""Packed blocks -> float32 rows, one file a scheme."""
