"""Rules on vocabularies and tokenizer files, whether they lie in a GGUF or in a folder's own files."""
