"""Which of two versions is the newer, as Python packages are ordered (PEP 440)."""

from packaging.version import InvalidVersion, Version


def has_order(version: str) -> bool:
    """Say whether a version can be compared with others: `2`, `1.4` or `1+core.b40f` can."""
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


def at_least(version: str, least: str) -> bool:
    """Say whether a version is `least` or newer; False if either has no order."""
    return has_order(version) and has_order(least) and Version(version) >= Version(least)
