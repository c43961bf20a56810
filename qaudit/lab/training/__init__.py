"""How the lab's trained files were made: run by hand, seeded; needs the `hf` extra."""
