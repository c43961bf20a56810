"""A real `python -m llama_cpp.server` on 127.0.0.1, started and stopped by its process id."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2


@dataclass(frozen=True)
class ServedFile:
    """One model of the server: what it is called there, and the GGUF."""

    alias: str
    path: Path
    logprobs: bool = True


class LlamaServer:
    """Serves files one at a time, on one thread; `url` ends in /v1."""

    def __init__(self, files: Sequence[ServedFile], folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        models = [
            {
                "model": str(file.path), "model_alias": file.alias, "logits_all": file.logprobs,
                "n_ctx": 512, "n_threads": 1, "n_threads_batch": 1, "verbose": False,
            }
            for file in files
        ]  # fmt: skip
        config = folder / "server.json"
        config.write_text(json.dumps({"host": "127.0.0.1", "port": port, "models": models}))
        self.url = f"http://127.0.0.1:{port}/v1"
        self.log = folder / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "llama_cpp.server", "--config_file", str(config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def wait(self) -> None:
        """Return once it answers."""
        end = time.monotonic() + 600
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if httpx2.get(f"{self.url}/models", trust_env=False).status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.1)
        raise RuntimeError(self.log.read_text())

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(300)
