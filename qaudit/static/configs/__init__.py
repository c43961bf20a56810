"""JSON and YAML files of a download: what they say about the model, and which of their keys load code."""
