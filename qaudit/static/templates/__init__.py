"""Chat templates: where they lie, what they do to a conversation, how they differ from a reference.

A template decides what a model reads, and it is a program out of an untrusted file. Nothing here parses or
renders one in the calling process: an analyst process with limits (`analyst_main`) does both, and tells
facts, of which rules make findings.
"""
