"""Rules on what a GGUF says of itself, on generation settings and on the values of weights."""
