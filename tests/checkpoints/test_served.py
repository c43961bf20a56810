import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.served import ServedModel, is_served
from qaudit.errors import InputError
from qaudit.files import sha256_bytes


@pytest.mark.parametrize(
    ("spec", "url", "model_id"),
    [
        ("https://gpu.example:8443/v1#Qwen/Qwen2.5-7B-Instruct-AWQ", "https://gpu.example:8443/v1", "Qwen/Qwen2.5-7B-Instruct-AWQ"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1", None),
        ("http://localhost:8080/", "http://localhost:8080/v1", None),
        ("HTTPS://Host.Example:443/v1/", "https://host.example/v1", None),
        ("http://[::1]:11434/v1#llama3:8b", "http://[::1]:11434/v1", "llama3:8b"),
        ("https://host/openai/v1/chat/completions#m", "https://host/openai/v1", "m"),
        ("https://host/v1#a%20b", "https://host/v1", "a b"),
        ("https://host/v1#", "https://host/v1", None),
    ],
)  # fmt: skip
def test_addresses(spec: str, url: str, model_id: str | None) -> None:
    model = ServedModel(spec)
    assert (model.url, model.model_id) == (url, model_id)
    assert is_served(spec)
    again = ServedModel(model.spec)
    assert (again.url, again.model_id) == (url, model_id)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("ftp://host/v1", "is not an address"),
        ("host:8000/v1", "is not an address"),
        ("https://host:port/v1", "check host and port"),
        ("https://host:99999/v1", "check host and port"),
        ("https://host:0/v1", "no host or port"),
        ("https:///v1", "no host or port"),
        ("https://[::1/v1", "check host and port"),
        ("https://host/v1?key=1", "carries a query"),
        ("https://host/v 1", "characters that no address has"),
        ("https://host/v1\r\nX: y", "characters that no address has"),
        ("https://hóst/v1", "characters that no address has"),
        ("https://host/v1#" + "m" * 257, "model id"),
        ("https://host/v1#a%0Ab", "model id"),
        ("https://host/v1#%20", "model id"),
        ("https://host/" + "v" * 3000, "is not an address"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(spec: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        ServedModel(spec)
    assert problem in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("userinfo", ["user:hunter2", "hunter2", "us/er:hunter2", ":hunter2", "u:hunter2#x"])
def test_a_password_in_the_address_is_refused_and_not_repeated(userinfo: str) -> None:
    with pytest.raises(InputError) as error:
        ServedModel(f"https://{userinfo}@host/v1")
    assert "hunter2" not in str(error.value)


@given(st.text(max_size=60).map(lambda rest: f"https://{rest}"))
@example("https://u:p@h")
@example("https://[v1.x]/")
def test_any_address_is_taken_or_refused(spec: str) -> None:
    try:
        model = ServedModel(spec)
    except InputError:
        return
    again = ServedModel(model.spec)
    assert (again.url, again.model_id) == (model.url, model.model_id)
    assert "@" not in model.url


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("http://x", True), ("HTTPS://x", True), ("model.gguf", False), ("./http", False), ("hf://org/name", False), ("", False)],
)  # fmt: skip
def test_what_is_served(spec: str, expected: bool) -> None:
    assert is_served(spec) is expected


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True), ("localhost", True), ("10.0.0.1", False),
     ("localhost.example", False), ("127.0.0.1.example", False), ("128.0.0.1", False)],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    model = ServedModel(f"http://{host}:8000/v1")
    assert model.is_loopback is loopback
    assert not model.is_encrypted


def test_it_is_a_checkpoint_with_nothing_to_read() -> None:
    model = ServedModel("https://host/v1#m")
    checkpoint: Checkpoint = model
    assert checkpoint.info.path == "https://host/v1#m"
    assert checkpoint.info.sha256 == sha256_bytes(b"")
    assert (checkpoint.info.format, checkpoint.info.quantization, checkpoint.info.files) == (
        "endpoint",
        "unknown",
        (),
    )
    assert list(checkpoint.names()) == []
    assert checkpoint.types() == {}
    assert checkpoint.text("general.name") is None
    assert checkpoint.chat_template is None
    checkpoint.require_unchanged()
    for read in (checkpoint.rows, checkpoint.shape):
        with pytest.raises(InputError, match="shows no weights such as blk"):
            read("blk.0")


def test_the_server_may_name_the_model() -> None:
    assert ServedModel("https://host/v1").named("a%41 b/ü#").model_id == "a%41 b/ü#"
    with pytest.raises(InputError, match="model id"):
        ServedModel("https://host/v1").named("x\n")
