"""Prompt suites: load them with bounds, lint them, import public sets, derive adaptive variants."""
