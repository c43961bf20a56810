from qaudit.static.repository.code_book import BOOK, CodeFile, at
from qaudit.static.repository.code_files import RULES


def test_all_rules_are_in_one_book_and_each_comes_from_one_of_the_rule_modules() -> None:
    assert BOOK.family == "code"
    assert all(module.BOOK is BOOK for module in RULES)
    assert len({rule.id for rule in BOOK.rules}) == len(BOOK.rules)


def test_a_place_is_a_line_of_the_file() -> None:
    assert at(CodeFile("a/b.py", "python"), 7) == "a/b.py:7"
