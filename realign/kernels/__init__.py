"""What realign computes most, fused: one folder a kernel.

Each folder's `reference.py` says in plain torch what is computed, `kernel.py` is the same in Triton, and its
`__init__` takes the kernel for tensors on a GPU and the reference elsewhere: equal codes bit for bit, floats
within the bound that the folder's `__init__` states.
"""
