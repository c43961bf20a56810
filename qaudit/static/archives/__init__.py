"""Zips, tars and compressed files: their layout, their members, and what is hidden between them."""
