"""What weights are rounded to: grids of codes, scales and zeros, one file a scheme."""
