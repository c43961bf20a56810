"""The chain for one checkpoint, from two paths to a written report; everything listens to its events."""
