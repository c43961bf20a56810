"""Re-quantization: a float checkpoint -> packed checkpoints that runtimes load.

`plain_quantization` is AWQ and GPTQ as published, without regard to safety: what other ways of
quantizing are measured against, and what the lab's folders are made with. It goes
`calibration_activations` -> `solvers` -> `writers`. Needs torch (extra `hf`).
"""
