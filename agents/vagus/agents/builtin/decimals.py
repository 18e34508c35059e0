"""A regular expression of exactly the whole numbers of a range, for an engine's grammar.

Made of digits, classes, counts, groups and alternatives alone, which every engine's dialect has.
It grows with the number of digits, not with the range: 3 KB for all of an int256.
"""

__all__ = ["pattern_between"]


def pattern_between(low: int, high: int) -> str:
    """Return the pattern of the decimals from low to high: no leading zeros, no `-0`."""
    signed = []
    if low < 0:
        signed.append("-" + _natural(max(1, -high), -low))
    if high >= 0:
        signed.append(_natural(max(0, low), high))
    return f"^({'|'.join(signed)})$"


def _natural(low: int, high: int) -> str:
    """Numbers from low to high, both natural: one alternative for each number of digits."""
    parts = []
    for size in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (size - 1) if size > 1 else 0)
        most = min(high, 10**size - 1)
        parts.append(_same_length(str(least), str(most)))
    return f"({'|'.join(parts)})"


def _same_length(low: str, high: str) -> str:
    """Digit strings of one length, from low to high."""
    if low == high:
        return low
    if low[0] == high[0]:
        return low[0] + f"({_same_length(low[1:], high[1:])})"
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    parts = []
    if low[1:].strip("0"):
        parts.append(f"{low[0]}({_same_length(low[1:], '9' * rest)})")
        first += 1
    if high[1:].strip("9"):
        parts.append(f"{high[0]}({_same_length('0' * rest, high[1:])})")
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}]" + _digits(rest))
    return "|".join(parts)


def _digits(count: int) -> str:
    return f"[0-9]{{{count}}}" if count else ""
