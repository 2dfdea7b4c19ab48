"""`uniqueString` of Azure's templates, so that a default name is known before anything is sent."""

from typing import Final

_MASK: Final = 0xFFFFFFFF
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_C1: Final = 0x239B961B
_C2: Final = 0xAB0E9789


def unique_string(*arguments: str) -> str:
    """The 13 characters (a-z, 2-7) that a template's `uniqueString(arguments…)` evaluates to.

    Source: constants of MurmurHash3 (x86, 128 bit), of which Azure uses the first two lanes.
    """
    bits = _hash64("-".join(arguments).encode()) << 1  # 13 characters of 5 bits hold 65
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(60, -1, -5))


def _hash64(data: bytes) -> int:
    one = two = 0
    whole = len(data) - len(data) % 8
    for start in range(0, whole, 8):
        one ^= _scramble_one(int.from_bytes(data[start : start + 4], "little"))
        one = ((_rotate(one, 19) + two) * 5 + 0x561CCD1B) & _MASK
        two ^= _scramble_two(int.from_bytes(data[start + 4 : start + 8], "little"))
        two = ((_rotate(two, 13) + one) * 5 + 0x0BCAA747) & _MASK
    tail = data[whole:]
    if tail:
        one ^= _scramble_one(int.from_bytes(tail[:4], "little"))
    if len(tail) > 4:  # noqa: PLR2004  (the second lane's bytes)
        two ^= _scramble_two(int.from_bytes(tail[4:], "little"))
    one, two = one ^ len(data), two ^ len(data)
    one = (one + two) & _MASK
    two = (two + one) & _MASK
    one, two = _finalise(one), _finalise(two)
    one = (one + two) & _MASK
    two = (two + one) & _MASK
    return two << 32 | one


def _scramble_one(lane: int) -> int:
    return _rotate(lane * _C1 & _MASK, 15) * _C2 & _MASK


def _scramble_two(lane: int) -> int:
    return _rotate(lane * _C2 & _MASK, 17) * _C1 & _MASK


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK


def _finalise(value: int) -> int:
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16
