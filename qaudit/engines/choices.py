"""What can be chosen about where and how transformers computes; see `protocol.EngineOptions`.

Apart from the protocol, so that the command line knows its choices without importing numpy.
"""

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Kernels = Literal["auto", "always", "never"]
