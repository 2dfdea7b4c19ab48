"""`uniqueString` and `guid` of ARM templates."""

import uuid

from ai_toolkit.local_cloud.template.functions.values import utf8

_MASK = 0xFFFFFFFF
_C1 = 0x239B961B  # multipliers, rotations and increments of MurmurHash3's x86 128-bit form, two lanes of it
_C2 = 0xAB0E9789
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_GUID_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


def unique_string(*parts: str) -> str:
    """Thirteen letters and digits that depend on nothing but the parts.

    Source of the vectors that this is checked with: public templates and their deployed names.
    """
    return _base32(_hash64(utf8("-".join(parts))))


def guid(*parts: str) -> str:
    """A UUID (version 5) that depends on nothing but the parts."""
    return str(uuid.uuid5(_GUID_NAMESPACE, utf8("-".join(parts)).decode()))


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _finish(value: int) -> int:
    value ^= value >> 16
    value = value * 0x85EBCA6B & _MASK
    value ^= value >> 13
    value = value * 0xC2B2AE35 & _MASK
    return value ^ (value >> 16)


def _hash64(data: bytes) -> int:
    one = two = 0
    whole = len(data) - len(data) % 8
    for at in range(0, whole, 8):
        first = int.from_bytes(data[at : at + 4], "little")
        second = int.from_bytes(data[at + 4 : at + 8], "little")
        one ^= _rotate(first * _C1 & _MASK, 15) * _C2 & _MASK
        one = (_rotate(one, 19) + two) & _MASK
        one = (one * 5 + 0x561CCD1B) & _MASK
        two ^= _rotate(second * _C2 & _MASK, 17) * _C1 & _MASK
        two = (_rotate(two, 13) + one) & _MASK
        two = (two * 5 + 0x0BCAA747) & _MASK
    rest = data[whole:]
    if len(rest) > 4:  # noqa: PLR2004  # the second lane's four bytes
        second = int.from_bytes(rest[4:], "little")
        two ^= _rotate(second * _C2 & _MASK, 17) * _C1 & _MASK
    if rest:
        first = int.from_bytes(rest[:4], "little")
        one ^= _rotate(first * _C1 & _MASK, 15) * _C2 & _MASK
    one ^= len(data)
    two ^= len(data)
    one = (one + two) & _MASK
    two = (two + one) & _MASK
    one = _finish(one)
    two = _finish(two)
    one = (one + two) & _MASK
    two = (two + one) & _MASK
    return two << 32 | one


def _base32(value: int) -> str:
    letters = []
    for _ in range(13):
        letters.append(_LETTERS[value >> 59])
        value = value << 5 & 0xFFFFFFFFFFFFFFFF
    return "".join(letters)
