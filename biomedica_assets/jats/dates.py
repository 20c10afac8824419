"""Dates as JATS writes them: parts that may be missing, seasons, ranges, names of months; ISO 8601 cut to precision.

What does not belong here: which date is the publication date (`front.py`).
"""

from __future__ import annotations

import re
from calendar import monthrange

from biomedica_assets.jats.document import Element
from biomedica_assets.jats.text import plain

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january janvier enero janeiro januar",
            "feb february fevrier février febrero fevereiro februar",
            "mar march mars marzo março märz",
            "apr april avril abril",
            "may mai mayo maio",
            "jun june juin junio junho juni",
            "jul july juillet julio julho juli",
            "aug august août aout agosto",
            "sep sept september septembre septiembre setembro",
            "oct october octobre octubre outubro oktober",
            "nov november novembre noviembre novembro",
            "dec december décembre decembre diciembre dezembro dezember",
        ),
        1,
    )
    for name in names.split()
}
_NUMBER = re.compile(r"\s*(\d{1,2})(?:st|nd|rd|th)?\s*")
_YEAR = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")
_ISO = re.compile(r"^\s*([12]\d{3})(?!\d)(?:-(\d{2})(?:-(\d{2}))?)?")


def read_date(element: Element) -> tuple[str | None, str | None]:
    """ISO 8601 date cut to its precision, and the precision: year, month or day.

    A season or a range of months ("Jan-Feb") leaves the year, with precision null; nothing readable gives
    (null, null). ``@iso-8601-date`` counts when the parts do not say more.
    """
    parts: dict[str, str] = {}
    for child in element:
        if isinstance(child.tag, str):
            text = child.text or plain(child)
            if text and child.tag not in parts:
                parts[child.tag] = text.strip()
    iso = _ISO.match(element.get("iso-8601-date") or "")
    if not parts.get("year") and iso:
        return _iso(int(iso[1]), iso[2] and int(iso[2]), iso[3] and int(iso[3]))
    year = _year(parts.get("year"))
    if year is None:
        found = _ISO.match(parts.get("string-date") or plain(element) or "")
        return _iso(int(found[1]), found[2] and int(found[2]), found[3] and int(found[3])) if found else (None, None)
    month, day = _month(parts.get("month")), _number(parts.get("day"), 31)
    if month is None and iso and iso[2] and int(iso[1]) == year:
        month, day = int(iso[2]), int(iso[3] or 0)
    if month is None:
        return f"{year:04d}", (None if parts.get("season") or parts.get("month") else "year")
    return _iso(year, month, day)


def _iso(year: int, month: int | str | None, day: int | str | None) -> tuple[str, str]:
    if not month or not 1 <= int(month) <= 12:
        return f"{year:04d}", "year"
    if not day or not 1 <= int(day) <= monthrange(year, int(month))[1]:
        return f"{year:04d}-{int(month):02d}", "month"
    return f"{year:04d}-{int(month):02d}-{int(day):02d}", "day"


def _year(text: str | None) -> int | None:
    match = _YEAR.search(text or "")
    return int(match[0]) if match else None


def _month(text: str | None) -> int | None:
    if not text:
        return None
    number = _number(text, 12)
    return number if number else _MONTHS.get(text.rstrip(".").lower())


def _number(text: str | None, highest: int) -> int | None:
    match = _NUMBER.fullmatch(text) if text else None
    return int(match[1]) if match and 1 <= int(match[1]) <= highest else None
