import pytest

from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.repository.code_names import (
    CHANGES,
    DECODES,
    DROPS,
    NATIVE,
    NETWORK,
    RUNS,
    SECRETS,
    UNPICKLES,
)  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "name", "other"),
    [
        (RUNS, "subprocess.Popen", "subprocesses.Popen"), (RUNS, "exec", "executor"),
        (NETWORK, "requests.Session().get", "requests"), (NATIVE, "ctypes.CDLL", "ctypes.c_int"),
        (UNPICKLES, "pickle.Unpickler(x).load", "pickle.dumps"), (DECODES, "base64.b64decode", "base64.b64encode"),
        (CHANGES, "os.remove", "list.remove"),
    ],
)  # fmt: skip
def test_whole_names_are_meant(pattern: LazyPattern[str], name: str, other: str) -> None:
    assert pattern.match(name)
    assert not pattern.match(other)


@pytest.mark.parametrize(
    ("pattern", "text", "other"),
    [
        (SECRETS, "/home/me/.ssh/id_rsa", "not.sshd/config"), (SECRETS, "http://169.254.169.254/latest", "169.254.1.1"),
        (DROPS, "https://discord.com/api/webhooks/1", "https://discord.com/about"),
        (DROPS, "http://45.9.148.1/x.sh", "http://127.0.0.1:8000/v1"),
    ],
)  # fmt: skip
def test_places_of_secrets_and_of_thieves_are_told_from_others(
    pattern: LazyPattern[str], text: str, other: str
) -> None:
    assert pattern.search(text)
    assert not pattern.search(other)
