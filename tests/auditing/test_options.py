from qaudit.auditing.options import AuditOptions
from qaudit.processors import available_threads


def test_defaults_are_a_whole_audit() -> None:
    options = AuditOptions()
    assert options.suites == ()
    assert options.limit is None
    assert options.engine.threads == available_threads() >= 1
    assert options.max_tokens == 256
