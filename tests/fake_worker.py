"""A worker that speaks `frames` and misbehaves as its prompts tell it, for WorkerEngine(module=...)."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from qaudit.confinement import Limits, confine
from qaudit.engines.frames import read_frame, write_frame

VOCABULARY = 4
THREADS_BEFORE = len(os.listdir("/proc/self/task")) if sys.platform.startswith("linux") else 1


def tried(action: Any) -> str:
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "allowed"


def connect(kind: socket.SocketKind, port: int) -> None:
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(2)
        client.connect(("127.0.0.1", port))
        client.send(b"secret")


def write(path: str) -> None:
    with Path(path).open("wb", buffering=0) as file:
        file.write(b"x")


def make_folder(path: str) -> None:
    Path(path).mkdir()


def leave_a_child_behind() -> None:
    # it holds the pipes open after its parent has died
    if os.fork() == 0:
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)


def reply(text: str, answers: BinaryIO) -> str:
    word, _, rest = text.partition(" ")
    match word:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(600)
        case "spin":
            while True:
                pass
        case "allocate":
            return str(len(bytearray(int(rest))))
        case "garbage":
            os.write(answers.fileno(), b"\xff" * 64)
            time.sleep(600)
        case "cut-off":
            os.write(answers.fileno(), b"\x08\x00")
            os._exit(3)
        case "flood":
            while True:
                write_frame(answers, {"kind": "alive"})
        case "dribble":
            os.write(answers.fileno(), b"\x00\x00\x00\x02" + bytes(8))
            while True:
                os.write(answers.fileno(), b" ")
                time.sleep(0.01)
        case "orphan":
            leave_a_child_behind()
        case "complain":
            sys.stderr.write("x" * 300_000 + " the\x1b[2J end\n")
            sys.stderr.flush()
            os._exit(7)
        case "environment":
            return json.dumps(dict(os.environ))
        case "threads":
            return str(THREADS_BEFORE)
        case "write":
            return tried(lambda: write(rest))
        case "folder":
            return tried(lambda: make_folder(rest))
        case "connect":
            return tried(lambda: connect(socket.SOCK_STREAM, int(rest)))
        case "datagram":
            return tried(lambda: connect(socket.SOCK_DGRAM, int(rest)))
        case "signal":
            return tried(lambda: os.kill(int(rest), 0))
        case "pid":
            return str(os.getpid())
    return f"echo {text}"


def generate(request: dict[str, Any], answers: BinaryIO) -> None:
    for index, ask in enumerate(request["asks"]):
        if ask["text"] == "skip":
            continue
        said = {"id": ask["id"], "text": reply(ask["text"], answers), "tokens": 1, "finish": "eos", "top": []}
        header: dict[str, Any] = {"kind": "answer", "index": index, "reply": said}
        if ask["text"].startswith("lie "):
            part, _, value = ask["text"][4:].partition(" ")
            (header if part == "index" else said)[part] = json.loads(value)
        width = 3 if ask["text"] == "narrow" else VOCABULARY
        write_frame(answers, header, np.zeros(width, np.float32))


def load(path: str, answers: BinaryIO) -> None:
    name = Path(path).name
    if name == "dies":
        sys.stderr.write("cannot go on\n")
        os._exit(9)
    if name == "refused":
        write_frame(answers, {"kind": "error", "message": f"{path}: no\n\x1b[31mgood"})
        return
    if name == "once" and os.environ.get("TMPDIR") == "gone":
        os._exit(9)
    if name != "silent":
        info = {"name": "fake", "version": "1", "device": "cpu", "threads": 1, "build": "x"}
        write_frame(answers, {"kind": "loaded", "info": info, "vocabulary": VOCABULARY})
    write_frame(answers, {"kind": "done"})


def main() -> None:
    requests, answers = os.fdopen(int(sys.argv[1]), "rb"), os.fdopen(int(sys.argv[2]), "wb")
    frame = read_frame(requests)
    assert frame is not None
    write_frame(answers, {"kind": "confined", "held": confine(Limits(**frame[0]["limits"]))})
    write_frame(answers, {"kind": "done"})
    while (frame := read_frame(requests)) is not None:
        request = frame[0]
        match request["op"]:
            case "load":
                load(request["path"], answers)
                if Path(request["path"]).name == "deaf":
                    time.sleep(600)
                continue
            case "generate":
                generate(request, answers)
            case "read":
                for ask in request["asks"]:
                    write_frame(answers, {"kind": "tokens"}, np.zeros(3, np.float32))
                    header = {"kind": "passage", "id": ask["id"]}
                    write_frame(answers, header, np.zeros((2, VOCABULARY), np.float32))
            case "choose":
                for ask in request["asks"]:
                    reply(ask["text"], answers)
                    count = len(ask["choices"])
                    score = {"id": ask["id"], "logprobs": [-1.0] * count, "tokens": [1] * count}
                    write_frame(answers, {"kind": "choice", **score})
            case "render":
                items = [{"id": c["id"], "text": "t", "error": None} for c in request["conversations"]]
                write_frame(answers, {"kind": "rendered", "items": items[1:]})
        write_frame(answers, {"kind": "done"})


if __name__ == "__main__":
    main()
