"""Numbers in .NET's standard and custom formats, without a language: `N2`, `X8`, `000.0`, `#,##0.00;(0)`.

Source: https://learn.microsoft.com/dotnet/standard/base-types/standard-numeric-format-strings
No library on the package index reads them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Final

from ai_toolkit.local_cloud.template.functions.json_text import number_text
from ai_toolkit.local_cloud.template.functions.values import FunctionError

_STANDARD: Final = re.compile(r"([A-Za-z])(\d*)")
_MOST_DIGITS: Final = 131_072
_DIGITS_OF_A_FRACTION: Final = 15  # that a custom format looks at
_BITS: Final = 64
_EXPONENT: Final = re.compile(r"[eE][+-]?0+")


def format_number(value: float, form: str) -> str:
    """The number in that format; FunctionError for a format that .NET does not know."""
    standard = _STANDARD.fullmatch(form)
    if standard is None:
        return _custom(value, form)
    code, digits = standard[1], int(standard[2]) if standard[2] else None
    if digits is not None and digits > _MOST_DIGITS:
        raise FunctionError(f"The function 'format' makes text of at most {_MOST_DIGITS} characters.")
    make = _STANDARD_FORMATS.get(code.upper())
    if (
        make is None
        or (isinstance(value, float) and code.upper() in "DXB")
        or (isinstance(value, int) and code.upper() == "R")
    ):
        raise FunctionError(f"The function 'format' has no format '{form}' for this number.")
    with localcontext(Context(prec=_MOST_DIGITS)):
        found = make(value, digits)
    return found.lower() if code in "xegr" else found


def _rounded(value: float, digits: int) -> Decimal:
    """The number to so many places; exact ties go to the even digit in fractions, up in integers."""
    rounding = ROUND_HALF_EVEN if isinstance(value, float) else ROUND_HALF_UP
    return Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding)


def _decimal(value: float, digits: int | None) -> str:
    return f"{value:0{(digits or 0) + (value < 0)}d}" if isinstance(value, int) else ""


def _fixed(value: float, digits: int | None) -> str:
    return f"{_rounded(value, 2 if digits is None else digits):f}"


def _grouped(value: float, digits: int | None) -> str:
    return f"{_rounded(value, 2 if digits is None else digits):,f}"


def _percent(value: float, digits: int | None) -> str:
    places = 2 if digits is None else digits
    return f"{_rounded(value, places + 2).scaleb(2):,f} %"


def _currency(value: float, digits: int | None) -> str:
    found = _grouped(abs(value), digits)
    return f"(¤{found})" if value < 0 else f"¤{found}"


def _hexadecimal(value: float, digits: int | None) -> str:
    return f"{int(value) & (2**_BITS - 1):0{digits or 0}X}"


def _binary(value: float, digits: int | None) -> str:
    return f"{int(value) & (2**_BITS - 1):0{digits or 0}b}"


def _scientific(value: float, digits: int | None) -> str:
    return _with_exponent(value, 6 if digits is None else digits, 3)


def _with_exponent(value: float, places: int, exponent_digits: int) -> str:
    exact = Decimal(value)
    if not exact:
        exponent, found = 0, Decimal(0).quantize(Decimal(1).scaleb(-places))
    else:
        exponent = exact.adjusted()
        rounding = ROUND_HALF_EVEN if isinstance(value, float) else ROUND_HALF_UP
        found = exact.scaleb(-exponent).quantize(Decimal(1).scaleb(-places), rounding)
        if found.adjusted() > 0:
            exponent, found = exponent + 1, (found / 10).quantize(Decimal(1).scaleb(-places))
    return f"{found:f}E{'-' if exponent < 0 else '+'}{abs(exponent):0{exponent_digits}d}"


def _general(value: float, digits: int | None) -> str:
    if not digits:
        return number_text(value) if isinstance(value, float) else str(value)
    exact = Decimal(value)
    if not exact:
        return "0"
    mantissa, _, exponent = _with_exponent(value, digits - 1, 1).partition("E")
    point = int(exponent) + 1
    if point > digits or point < -3:  # noqa: PLR2004  # .NET's bound
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}E{'-' if point < 1 else '+'}{abs(point - 1):02d}"
    plain = f"{Decimal(f'{mantissa}E{exponent}'):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


_STANDARD_FORMATS: Final[dict[str, Callable[[float, int | None], str]]] = {
    "B": _binary, "C": _currency, "D": _decimal, "E": _scientific, "F": _fixed, "G": _general, "N": _grouped,
    "P": _percent, "R": lambda value, _digits: number_text(value), "X": _hexadecimal,
}  # fmt: skip


@dataclass
class _Section:
    """One part of a custom format: its pieces in order, and what they say together."""

    pieces: list[str] = field(default_factory=list)  # "0", "#", ".", "E+0" … or a literal behind a quote
    whole_digits: int = 0
    places: int = 0
    scale: int = 0  # powers of ten to multiply by
    is_grouped: bool = False
    has_point: bool = False
    exponent: str | None = None


def _custom(value: float, form: str) -> str:
    """The number in a custom format of up to three sections: positive, negative, zero."""
    sections = _sections(form)
    exact = Decimal(value) if isinstance(value, int) else Decimal(f"{value:.{_DIGITS_OF_A_FRACTION - 1}e}")
    index = 0
    if exact < 0 and len(sections) > 1 and sections[1]:
        index = 1
    elif exact == 0 and len(sections) > 2 and sections[2]:  # noqa: PLR2004  # the third is for zero
        index = 2
    section = _read_section(sections[index])
    with localcontext(Context(prec=_MOST_DIGITS)):
        magnitude = abs(exact).scaleb(section.scale)
        exponent = 0
        if section.exponent is not None and magnitude:
            exponent = magnitude.adjusted() + 1 - max(section.whole_digits, 1)
            magnitude = magnitude.scaleb(-exponent)
        rounded = magnitude.quantize(Decimal(1).scaleb(-section.places), ROUND_HALF_UP)
        if not rounded and exact and len(sections) > 2 and sections[2]:  # noqa: PLR2004  # rounded to zero
            section = _read_section(sections[2])
        sign = "-" if exact < 0 and rounded and index == 0 else ""
        return sign + _laid_out(section, rounded, exponent)


def _sections(form: str) -> list[str]:
    """The format at its semicolons, those in quotes or behind a backslash left out."""
    found = [""]
    for match in re.finditer(r"""'[^']*'?|"[^"]*"?|\\.?|.""", form, re.DOTALL):
        if match[0] == ";":
            found.append("")
        else:
            found[-1] += match[0]
    return found


def _read_section(form: str) -> _Section:
    section = _Section()
    for match in re.finditer(r"""'([^']*)'?|"([^"]*)"?|\\(.?)|([eE][+-]?0+)|(.)""", form, re.DOTALL):
        literal = next((match[group] for group in (1, 2, 3) if match[group] is not None), None)
        piece = match[4] or match[5]
        if literal is not None:
            section.pieces.append(f"'{literal}")
        elif match[4]:
            section.exponent = piece
            section.pieces.append(piece)
        elif piece in "0#":
            section.pieces.append(piece)
            section.places += section.has_point
            section.whole_digits += not section.has_point
        elif piece == ".":
            if not section.has_point:
                section.has_point = True
                section.pieces.append(piece)
        elif piece == ",":
            if section.whole_digits and not section.has_point:
                rest = re.sub(r"""'[^']*'|"[^"]*"|\\.""", "", form[match.end() :]).lstrip(",")
                if rest[:1] in {"0", "#"}:
                    section.is_grouped = True
                else:
                    section.scale -= 3
        else:
            section.scale += {"%": 2, "‰": 3}.get(piece, 0)
            section.pieces.append(f"'{piece}")
    return section


def _laid_out(section: _Section, number: Decimal, exponent: int) -> str:
    before, _, after = f"{number:f}".partition(".")
    before = before.lstrip("0")
    slots = [piece for piece in section.pieces if piece in {"0", "#", "."}]
    point = slots.index(".") if "." in slots else len(slots)
    whole_slots, place_slots = slots[:point], slots[point + 1 :]
    least = len(whole_slots) - whole_slots.index("0") if "0" in whole_slots else 0
    before = before.zfill(least) if least else before
    kept = max((at + 1 for at, slot in enumerate(place_slots) if slot == "0"), default=0)
    after = after[: max(kept, len(after.rstrip("0")))]
    written: list[str] = []
    slot_number, place_number = 0, 0
    surplus = max(0, len(before) - len(whole_slots))
    digits_left = len(before)
    is_past_point = False
    for piece in section.pieces:
        if piece in {"0", "#"} and not is_past_point:
            count = 1 + (surplus if slot_number == 0 else 0)
            remaining_slots = len(whole_slots) - slot_number
            slot_number += 1
            for _ in range(count if digits_left >= remaining_slots else 0):
                written.append(before[len(before) - digits_left])
                digits_left -= 1
                if section.is_grouped and digits_left and digits_left % 3 == 0:
                    written.append(",")
        elif piece == ".":
            is_past_point = True
            if surplus and not whole_slots:
                written.append(before)
            written.append("." if after else "")
        elif piece in {"0", "#"}:
            written.append(after[place_number : place_number + 1])
            place_number += 1
        elif piece.startswith("'"):
            written.append(piece[1:])
        elif _EXPONENT.fullmatch(piece):
            sign = "-" if exponent < 0 else ("+" if "+" in piece else "")
            written.append(f"{piece[0]}{sign}{abs(exponent):0{piece.count('0')}d}")
    return "".join(written)
