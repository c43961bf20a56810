"""How full the endpoint engine keeps a server: its replies a second against the server's own saturation.

    in an environment with qaudit[serve,gguf] and llama-cpp-python[server]:
    python benchmarks/endpoint_saturation.py [--replies 600] [--out benchmarks/results]

1. A loopback server of known capacity: K slots, each busy for a fixed time with a reply, which is a full
   one (128 tokens with 20 likeliest each, some 230 kB). It gives K / time replies a second and no more.
   It runs in a process of its own and does next to nothing, so that nothing else is the limit.
2. `python -m llama_cpp.server` with the lab's Q8_0 member. Its saturation is measured with as plain a
   client as there is: threads that post the same bodies over open connections and throw the replies
   away. Both clients take turns, so that a busy machine hurts both; the medians count.

Prints one JSON document; ends with status 1 if a ratio is below 0.9 (with as many prompts as slots the
ratio is told, not judged: it cannot be 1).
"""

import argparse
import asyncio
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
FLOOR = 0.9
TOKENS = 128
# slots, seconds a reply, prompts under way at once: a few more than slots, so that one waits whenever a
# slot falls free; and as many as slots, where each slot is empty from one reply to the next prompt
CAPACITIES = ((8, 0.5, 10), (16, 0.5, 20), (32, 1.0, 40))
TIGHT = (16, 0.5, 16)
ROUNDS = 5


def full_reply() -> bytes:
    """Return a completion of 128 tokens with the 20 likeliest at each."""
    top = [
        {"token": f" word{i}", "logprob": -0.1 - i, "bytes": list(f" word{i}".encode())} for i in range(20)
    ]
    content = [{"token": " word0", "logprob": -0.1, "bytes": top[0]["bytes"], "top_logprobs": top}] * TOKENS
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": " word0" * TOKENS},
        "logprobs": {"content": content},
        "finish_reason": "length",
    }
    return json.dumps({"choices": [choice], "usage": {"completion_tokens": TOKENS}}).encode()


async def serve_slots(slots: int, seconds: float) -> None:
    """Serve on a free port, which is printed, until the process is ended."""
    free = asyncio.Semaphore(slots)
    reply = full_reply()
    models = b'{"data": [{"id": "slots", "owned_by": "benchmark"}]}'

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                    async with free:
                        await asyncio.sleep(seconds)
                body = reply if length else models
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def engine_on(url: str, concurrency: int):  # noqa: ANN201 - imported late, so that the server stays small
    from qaudit.checkpoints.served import ServedModel
    from qaudit.engines.openai_api import ServedEngine
    from qaudit.engines.protocol import ServedOptions

    return ServedEngine(ServedModel(url), ServedOptions(concurrency=concurrency))


def known_capacity(slots: int, seconds: float, concurrency: int, replies: int) -> dict[str, float]:
    """Measure the engine on a server of known capacity."""
    from qaudit.engines.protocol import Ask

    command = [sys.executable, __file__, "--serve", str(slots), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            engine = engine_on(f"http://127.0.0.1:{int(server.stdout.readline())}", concurrency)
            asks = [Ask(str(i), "", f"question {i}", TOKENS) for i in range(replies)]
            start, used = time.perf_counter(), time.process_time()
            answers = engine.generate(asks)
            took, used = time.perf_counter() - start, time.process_time() - used
        finally:
            server.terminate()
    assert all(a.reply.tokens == TOKENS and len(a.reply.top) == 20 for a in answers)
    capacity = slots / seconds
    return {
        "slots": slots,
        "seconds_a_reply": seconds,
        "concurrency": concurrency,
        "capacity_per_s": capacity,
        "engine_per_s": replies / took,
        "engine_cpu_ms_a_reply": 1000 * used / replies,
        "ratio": replies / took / capacity,
    }


def plain_client(url: str, bodies: list[bytes], concurrency: int) -> float:
    """Return how long it takes to post all bodies with `concurrency` threads."""
    host = url.removeprefix("http://").removesuffix("/v1")
    waiting = iter(bodies)
    lock = threading.Lock()
    failed: list[int] = []

    def keep_posting() -> None:
        connection = http.client.HTTPConnection(host)
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                connection.close()
                return
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                failed.append(response.status)

    threads = [threading.Thread(target=keep_posting) for _ in range(concurrency)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    assert not failed, failed
    return took


def llama_cpp_server(concurrency: int, count: int) -> dict[str, object]:
    """Measure the engine and the plain client in turn on llama_cpp.server with the lab's Q8_0 member."""
    from qaudit.engines.openai_dialect import Dialect
    from qaudit.engines.protocol import Ask
    from qaudit.lab.build import build
    from qaudit.suites.loading import load_suite

    items = [item for name in ("lab-core", "lab-benign") for item in load_suite(name).items]
    asks = [Ask(item.id, "", item.turns[-1], 48, item.turns) for item in items][:: len(items) // count][
        :count
    ]
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        for _ in build(Path(folder), ["Q8_0"]):
            pass
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        model = str(Path(folder) / "Q8_0.gguf")
        command = [
            sys.executable,
            "-m",
            "llama_cpp.server",
            "--model",
            model,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        command += [
            "--n_ctx",
            "512",
            "--n_threads",
            "1",
            "--n_threads_batch",
            "1",
            "--logits_all",
            "true",
            "--verbose",
            "false",
        ]
        url = f"http://127.0.0.1:{port}/v1"
        with (
            (Path(folder) / "log").open("w") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as server,
        ):
            try:
                for _ in range(300):
                    try:
                        urllib.request.urlopen(f"{url}/models").read()  # noqa: S310
                        break
                    except OSError:
                        time.sleep(0.1)
                engine = engine_on(url, concurrency)
                bodies = [json.dumps(Dialect().request(model, ask)).encode() for ask in asks]
                engine.generate(asks[:4])
                plain, ours = [], []
                for turn in range(ROUNDS):
                    for kind in ("plain", "ours") if turn % 2 else ("ours", "plain"):
                        start = time.perf_counter()
                        if kind == "plain":
                            plain.append(len(asks) / plain_client(url, bodies, concurrency))
                        else:
                            answers = engine.generate(asks)
                            ours.append(len(asks) / (time.perf_counter() - start))
                            assert all(a.reply.finish in ("eos", "length") for a in answers)
            finally:
                server.terminate()
    saturated, reached = statistics.median(plain), statistics.median(ours)
    return {
        "server": "llama_cpp.server, lab Q8_0, 1 thread",
        "concurrency": concurrency,
        "replies_a_round": len(asks),
        "rounds": ROUNDS,
        "saturated_per_s": saturated,
        "saturated_rounds": plain,
        "engine_per_s": reached,
        "engine_rounds": ours,
        "ratio": reached / saturated,
    }


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--serve", nargs=2, metavar=("SLOTS", "SECONDS"), help="be the server of known capacity"
    )
    parser.add_argument("--replies", type=int, default=600)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve_slots(int(chosen.serve[0]), float(chosen.serve[1])))
        return 0
    load = os.getloadavg()[0]
    tight = known_capacity(*TIGHT, chosen.replies)
    known = [known_capacity(*capacity, chosen.replies) for capacity in CAPACITIES]
    result = {
        "what": "replies a second of the endpoint engine against the server's own saturation",
        "reply_kb": len(full_reply()) / 1000,
        "processors": os.cpu_count(),
        "load_before": load,
        "known_capacity": known,
        "as_many_prompts_as_slots": tight,
        "llama_cpp_server": llama_cpp_server(8, 80),
        "floor": FLOOR,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if chosen.out:
        (chosen.out / "endpoint_saturation.json").write_text(text + "\n")
    return 0 if min(*(k["ratio"] for k in known), result["llama_cpp_server"]["ratio"]) >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
