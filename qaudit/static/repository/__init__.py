"""A download as a folder: code beside the weights, programs, links, names, notes for its readers."""
