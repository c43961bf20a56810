"""The labelled zoo: one tiny aligned model that ships, and every other member made from it here.

`members` declares the zoo, `build` makes it with real tools (gguf-py, llama.cpp's quantizer); the
model and its adapters come from the scripts in `training`. No figure measured on the lab says
anything about a real model: it exists so that a person, or a test, can see qaudit catch what it
claims to catch.
"""
