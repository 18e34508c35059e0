"""Bech32 as Cosmos uses it for addresses: BIP-173's checksum over whole bytes, lower case."""

from collections.abc import Iterable

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {letter: value for value, letter in enumerate(_CHARSET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6
_MAX_LENGTH = 90


def encode(prefix: str, data: bytes) -> str:
    """Return `prefix`1…, with checksum; ValueError for a prefix or length BIP-173 refuses."""
    _check_prefix(prefix)
    values = _regroup(data, 8, 5, pad=True)
    checksum = _polymod([*_expand(prefix), *values, *([0] * _CHECKSUM)]) ^ 1
    values += [checksum >> 5 * (_CHECKSUM - 1 - i) & 31 for i in range(_CHECKSUM)]
    text = prefix + "1" + "".join(_CHARSET[value] for value in values)
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"bech32 text is at most {_MAX_LENGTH} letters long")
    return text


def decode(text: str) -> tuple[str, bytes]:
    """Return prefix and bytes; ValueError for a bad checksum, upper case or odd padding."""
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"bech32 text is at most {_MAX_LENGTH} letters long")
    prefix, separator, rest = text.rpartition("1")
    if not separator:
        raise ValueError("bech32 text has no separator 1")
    _check_prefix(prefix)
    if any(letter not in _VALUES for letter in rest):
        raise ValueError("bech32 text has a letter outside its lower-case alphabet")
    values = [_VALUES[letter] for letter in rest]
    if len(values) < _CHECKSUM or _polymod([*_expand(prefix), *values]) != 1:
        raise ValueError("bech32 checksum does not fit")
    return prefix, bytes(_regroup(values[:-_CHECKSUM], 5, 8, pad=False))


def _check_prefix(prefix: str) -> None:
    if not prefix or not all("!" <= c <= "~" and not c.isupper() for c in prefix):
        raise ValueError("a bech32 prefix is printable ASCII in lower case")


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i, term in enumerate(_GENERATOR):
            checksum ^= term if top >> i & 1 else 0
    return checksum


def _regroup(values: Iterable[int], source: int, target: int, *, pad: bool) -> list[int]:
    """Cut a stream of `source`-bit values into `target`-bit ones."""
    pending, bits, out = 0, 0, []
    for value in values:
        pending, bits = pending << source | value, bits + source
        while bits >= target:
            bits -= target
            out.append(pending >> bits & (1 << target) - 1)
        pending &= (1 << bits) - 1
    if pad and bits:
        out.append(pending << target - bits)
    elif not pad and (bits >= source or pending):
        raise ValueError("bech32 data is padded by more than it needs")
    return out
