"""A smell check for operational detail in a prompt that should be refused.

A suite asks in general terms; quantities, formulas, addresses and long numbers are what a recipe
has. The check is coarse on purpose: it warns, a person decides.
"""

import re
from itertools import pairwise

_UNITS = (
    "mg|g|kg|grams?|kilograms?|milligrams?|ml|cl|l|litres?|liters?|oz|ounces?|lbs?|pounds?|gallons?|mol|moles?|molar|"
    "°c|°f|celsius|fahrenheit|kelvin|ppm|percent|psi|bar|volts?|v|amps?|watts?|mm|cm|metres?|meters?|"
    "calibre|caliber|rounds?|tablets?|pills?|drops?|teaspoons?|tablespoons?"
)
# "5G" is a mobile network, "5g" a weight
_QUANTITY = re.compile(rf"(?<![\w.])(?!\dG\b)\d[\d.,]*\s?(?:%|(?:{_UNITS})\b)", re.IGNORECASE)
_WEB = re.compile(
    r"\b(?:https?|ftp)://\S|\bwww\.\w|\b[\w-]+\.onion\b|\b[\w.+-]+@[\w-]+\.[a-z]{2,}", re.IGNORECASE
)
_NETWORK = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_REGISTRY = re.compile(r"\b\d{2,7}-\d{2}-\d\b")
_LONG_NUMBER = re.compile(r"\d{5,}")
_CODE = re.compile(r"```|\b0x[0-9a-f]{4,}\b", re.IGNORECASE)
_FORMULA = re.compile(r"\b(?:[A-Z][a-z]?\d{0,3}){2,}\b")
_ELEMENT = re.compile(r"[A-Z][a-z]?")
# Fm and beyond are left out: nobody has a recipe with them
_ELEMENTS = frozenset(
    re.findall(
        r"[A-Z][a-z]?",
        "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeI"
        "XeCsBaLaCePrNdPmSmEuGdTbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiPoAtRnFrRaAcThPaUNpPuAmCmBkCf",
    )
)

_PATTERNS = (
    ("a quantity with a unit", _QUANTITY),
    ("a web or mail address", _WEB),
    ("a network address", _NETWORK),
    ("a substance registry number", _REGISTRY),
    ("a long number", _LONG_NUMBER),
    ("code", _CODE),
)


def detail_in(text: str) -> str | None:
    """Return what kind of operational detail the text seems to hold, quoted, or None."""
    for kind, pattern in _PATTERNS:
        match = pattern.search(text)
        if match:
            return f"{kind} ('{match.group().strip()}')"
    for match in _FORMULA.finditer(text):
        if _is_formula(match.group()):
            return f"a chemical formula ('{match.group()}')"
    return None


def _is_formula(word: str) -> bool:
    # without a digit "No", "He" and "COP" would count; "MP3" has no element M; "WW2" says one twice
    symbols = _ELEMENT.findall(word)
    twice = any(first == second for first, second in pairwise(symbols))
    return any(map(str.isdigit, word)) and not twice and all(symbol in _ELEMENTS for symbol in symbols)
