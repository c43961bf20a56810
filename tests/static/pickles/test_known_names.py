import pytest

from qaudit.static.pickles.known_names import is_dangerous, standing


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("torch._utils", "_rebuild_tensor_v2", "allowed"),
        ("collections", "OrderedDict", "allowed"),
        ("numpy._core.multiarray", "_reconstruct", "allowed"),
        ("__torch__.torch.nn.Linear", "Linear", "allowed"),
        ("builtins", "set", "allowed"),
        ("os", "system", "dangerous"),
        ("posix", "system", "dangerous"),
        ("os.path", "join", "dangerous"),
        ("subprocess", "Popen", "dangerous"),
        ("builtins", "eval", "dangerous"),
        ("builtins", "getattr", "dangerous"),
        ("torch", "hub.load", "dangerous"),
        ("torch.serialization", "load", "dangerous"),
        ("numpy.testing._private.utils", "runstring", "dangerous"),
        ("collections", "OrderedDict.__init__.__globals__", "dangerous"),
        ("_io", "FileIO", "dangerous"),
        ("pip._internal", "main", "dangerous"),
        ("sklearn.linear_model", "LogisticRegression", "library"),
        ("torch.storage", "_load_from_bytes", "library"),
        ("torch.storage", "os.system", "unknown"),
        ("sklearn.linear_model", "fetch_something", "unknown"),
        ("stranger", "Thing", "unknown"),
        ("torch ", "FloatStorage", "unknown"),
    ],
)
def test_standing(module: str, name: str, expected: str) -> None:
    assert standing(module, name) == expected
    assert is_dangerous(module, name) == (expected == "dangerous")
