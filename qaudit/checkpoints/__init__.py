"""Untrusted bytes -> a read-only Checkpoint; every length is checked before anything is allocated."""
