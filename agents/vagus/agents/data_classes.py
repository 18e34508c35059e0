"""Classes of data that a text may hold, told by their form and their check digits.

What has the form of a card number and fails Luhn's test is none. Each pattern is bounded, so that
its time is linear in the text's length.
"""

import re
from collections.abc import Callable
from typing import Literal

__all__ = ["DataClass", "holds"]

DataClass = Literal["card", "email", "iban", "phone", "secret"]

_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,63}")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)")
# E.164, as people write it.
_PHONE = re.compile(r"(?<![\w+])\+[1-9](?:[ ().-]{0,2}\d){7,14}(?!\d)")
# Private keys in PEM, JSON web tokens, and tokens that say themselves whose they are.
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----|(?<!\w)(?:"
    r"eyJ[\w-]{8,2048}\.eyJ[\w-]{8,4096}\.[\w-]{8,1024}"
    r"|AKIA[0-9A-Z]{16}|gh[opsur]_\w{36}|glpat-[\w-]{20}|xox[abprs]-[\w-]{10,200}"
    r"|sk-[\w-]{20,200}|[rs]k_live_\w{20,200})"
)


def holds(kind: DataClass, text: str) -> bool:
    """Say whether a text has data of a class in it."""
    return _FOUND[kind](text)


def _card(text: str) -> bool:
    return any(_luhn(re.sub("[ -]", "", found[0])) for found in _CARD.finditer(text))


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(each), 10)) for each in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    return any(_mod97(found[0].replace(" ", "")) for found in _IBAN.finditer(text))


def _mod97(text: str) -> bool:
    """ISO 13616: any beginning of what looks like one, since words may follow it."""
    for end in range(len(text), 14, -1):
        turned = text[4:end] + text[:4]
        if int("".join(str(int(each, 36)) for each in turned)) % 97 == 1:
            return True
    return False


_FOUND: dict[DataClass, Callable[[str], bool]] = {
    "card": _card,
    "email": lambda text: _EMAIL.search(text) is not None,
    "iban": _iban,
    "phone": lambda text: _PHONE.search(text) is not None,
    "secret": lambda text: _SECRET.search(text) is not None,
}
