"""Many checkpoints against their references: a manifest in, one audit a row, one table and one page out.

Rows run in processes of their own, here or on a Ray cluster; a row that cannot be audited is a row
with its error. The table holds nothing that differs between two runs of the same matrix.
"""
