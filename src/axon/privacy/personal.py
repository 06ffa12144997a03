"""Personal data that is known by its shape: addresses, numbers of people, accounts and papers."""

import ipaddress
import re

from axon.privacy import checks
from axon.privacy.kind import WORD, Kind, apart, checked, stands_alone, value_after

_NAME_BYTES_MAX = 64
"""Of what stands before the @ (RFC 5321)."""
_NAME_BYTES = bytes(
    byte for byte in range(33, 256) if byte > 127 or chr(byte).isalnum() or chr(byte) in "_%+.'-"
)
_NO_NAME = re.compile(r"[^\w%+.'-]")
"""Ends a name: a quotation mark may be no ASCII either."""
_DOMAIN = re.compile(
    rb"([A-Za-z0-9\x80-\xff-]{1,63}\.){1,5}([A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,59})"
)


_IN_ADDRESS = re.compile(rb"://[^\s/?#]*$")


def _email(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of the whole address around an @."""
    before = text[max(0, start + 1 - _NAME_BYTES_MAX) : start + 1]
    name = before[len(before.rstrip(_NAME_BYTES)) :]
    name = _NO_NAME.split(name.decode("utf-8", "ignore"))[-1].encode().lstrip(b".'-%+")
    domain = _DOMAIN.match(text, end - 1)
    if (
        domain is None
        or not name
        or b".." in name
        or WORD.match(text[domain.end() : domain.end() + 1])
    ):
        return None
    start = start + 1 - len(name)
    if _IN_ADDRESS.search(text, max(0, start - 200), start):
        return None  # the user of an address: a kind of its own
    return start, domain.end()


_IBAN_BYTES_MAX = 48
"""Of 34 characters in groups of four and what separates them."""


def _iban(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Take as many characters as the country's IBANs have; what follows is the next word."""
    if WORD.match(text[max(0, start - 1) : start]):
        return None
    wanted, taken = checks.iban_length(text[start : start + 2].decode().upper()), bytearray()
    place = start
    while place < min(len(text), start + _IBAN_BYTES_MAX) and len(taken) < wanted:
        if text[place : place + 1] not in (b" ", b"-"):
            taken += text[place : place + 1]
        place += 1
    if WORD.match(text[place : place + 1]) or not wanted:
        return None
    known = taken.isalnum() and checks.iban(taken.decode().upper())
    return (start, place) if known else None


def _address(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of an IP address that may be somebody's: not the machine's own."""
    if not apart(text, start, end) or text[max(0, start - 1) : start] in (b":", b"v", b"="):
        return None
    words = text[max(0, start - 12) : start].lower()
    if b"version" in words or words.rstrip().endswith((b" v", b"release", b"section")):
        return None
    try:
        found = ipaddress.ip_address(text[start:end].decode())
    except ValueError:
        return None
    if found.version == _IPV6 and end - start < _IPV6_CHARS_MIN:
        return None
    ours = found.is_loopback or found.is_unspecified or found.is_link_local or found.is_multicast
    if ours or any(found in net for net in _PRIVATE if net.version == found.version):
        return None
    return start, end


_IPV6 = 6
_IPV6_CHARS_MIN = 7
"""Shorter ones are names in code: a::b."""
_PRIVATE = tuple(
    ipaddress.ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "255.0.0.0/8", "fc00::/7")
)

_NATIONAL_PHONE = re.compile(
    rb"(\+1[ .-]?|1[ .-])?(\([2-9]\d\d\) ?|[2-9]\d\d[-.])[2-9]\d\d[-.]\d{4}"  # North America
    rb"|0[1-9]([ .-]\d\d){4}"  # France
    rb"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,4}"  # United Kingdom, Germany, Japan and more
    rb"|0\d{2,4}/\d{3,5}-\d{2,6}|0\d-\d{4}-\d{4}"
    rb"|\(0\d{1,4}\) ?\d{3,4}[ -]?\d{3,4}"
    rb"|0[1-9]\d[ ]\d{3}[ ]\d{2}[ ]\d{2}"  # Switzerland
    rb"|[679]\d{2} \d{3} \d{3}|[679]\d{2} \d{2} \d{2} \d{2}"  # Spain
    rb"|\(\d{2}\) ?9?\d{4}-\d{4}"  # Brazil
    rb"|1[3-9]\d-\d{4}-\d{4}"  # China
)
_CALLED = re.compile(
    rb"\b(tel|phone|mobile|cell|call|fax|whatsapp|sms|text|fon|handy|telefon\w*|t\xc3\xa9l|m\xc3\xb3vil"
    rb"|portable|ring|reach|contact|number is|dial)\b",
    re.IGNORECASE,
)


def _phone(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of a number that is written as one dials it, or is said to be a phone."""
    while text[end - 1 : end] in (b" ", b"-", b".", b"(", b"/"):
        end -= 1
    found = text[start:end]
    before = text[max(0, start - 2) : start]
    if found.startswith(b"("):
        if WORD.match(before[-1:]):
            return None
    elif not apart(text, start, end):
        return None
    digits = found.translate(None, b" +()./-")
    if found.startswith((b"+", b"00")):
        bare = digits.removeprefix(b"00") if found.startswith(b"00") else digits
        separated = found.startswith(b"+") or b" " in found or _said_phone(text, start)
        return (start, end) if 8 <= len(bare) <= 15 and bare[:1] != b"0" and separated else None
    if not 7 <= len(digits) <= 15 or (len(digits) == 13 and digits[:3] in (b"978", b"979")):
        return None
    if _DATE.fullmatch(found):
        return None
    if _NATIONAL_PHONE.fullmatch(found):
        return start, end
    return (start, end) if _said_phone(text, start) else None


_DATE = re.compile(rb"\d{4}[-./]\d\d?[-./]\d\d?.*|\d\d?[-./]\d\d?[-./]\d{4}.*", re.DOTALL)


def _said_phone(text: bytes, start: int) -> bool:
    return _CALLED.search(text, max(0, start - 24), start) is not None


def _passport(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    place = _PASSPORT(text, start, end)
    return place if place and len(re.findall(rb"\d", text[place[0] : place[1]])) > 3 else None


_PASSPORT = value_after(
    r"(?:passport|reisepass|passeport|pasaporte|driver'?s licen[cs]e|driving licen[cs]e)"
    r"(?: (?:no|number|nr|num))?\.?(?: is)?[:#]? ?([A-Z0-9]{6,18})"
)
_DATE_SHAPE = (
    r"(\d{1,4}[-./ ]\d{1,2}[-./ ]\d{1,4}|\d{1,2} [a-z]{3,9} \d{4}|[a-z]{3,9} \d{1,2},? \d{4})"
)


def _mac(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    return (start, end) if apart(text, start, end) else None


def _bitcoin(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of an address that has letters and digits, as a random one has."""
    found = text[start:end]
    mixed = re.search(rb"[0-9]", found[1:]) and re.search(rb"[a-z]", found)
    capitals = found.startswith(b"bc1") or re.search(rb"[A-Z]", found)
    return stands_alone(text, start, end) if mixed and capitals else None


PERSONAL = (
    Kind("email", r"[A-Za-z0-9_%+'\x80-\xff-]@[A-Za-z0-9\x80-\xff]", _email),
    Kind("card", r"\b\d(\d|[ -]\d){12,18}\b", checked(checks.card)),
    Kind("iban", r"\b[A-Z]{2}\d\d[ -]?[A-Z0-9]{4}[ -]?[A-Z0-9]{3}", _iban, True),
    Kind("us_ssn", r"\b\d{3}[- ]\d\d[- ]\d{4}\b", checked(checks.us_ssn)),
    Kind("us_ssn", r"\b\d{9}\b", checked(checks.us_ssn, said=r"\b(ssn|social security)\b")),
    Kind("us_itin", r"\b9\d\d-[5-9]\d-\d{4}\b", checked(lambda found: len(found) == 9)),
    Kind("us_routing", r"\b\d{9}\b",
          checked(checks.us_routing, said=r"\b(routing|aba|rtn)\b")),
    Kind("ip", r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", _address),
    Kind("ip", r"[0-9a-f]{0,4}:([0-9a-f]{0,4}:){1,6}[0-9a-f]{1,4}", _address, True),
    Kind("mac", r"\b([0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b",
          _mac,
          True),
    Kind("uk_nino", r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]\b",
          stands_alone),
    Kind("uk_nhs", r"\b\d{3} \d{3} \d{4}\b", checked(checks.uk_nhs)),
    Kind("uk_nhs", r"\b\d{3}-?\d{3}-?\d{4}\b",
         checked(checks.uk_nhs, said=r"\b(nhs|patient)\b")),
    Kind("es_dni", r"\b[XYZ]?\d{7,8}-?[A-Z]\b",
          checked(lambda found: len(found) == 9 and checks.es_dni(found))),
    Kind("it_codice_fiscale",
          r"\b[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]\b", checked(checks.it_codice_fiscale)),
    Kind("fr_nir", r"\b[12] ?\d\d ?\d\d ?(\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d\b",
          checked(checks.fr_nir)),
    Kind("de_steuer_id", r"\b\d\d ?\d{3} ?\d{3} ?\d{3}\b",
          checked(checks.de_steuer_id, said=r"steuer|\bid-?nr\b|\btin\b")),
    Kind("nl_bsn", r"\b\d{9}\b", checked(checks.nl_bsn, said=r"\b(bsn|burgerservicenummer)\b")),
    Kind("pl_pesel", r"\b\d{11}\b", checked(checks.pl_pesel, said=r"\bpesel\b")),
    Kind("br_cpf", r"\b\d{3}\.\d{3}\.\d{3}-\d\d\b", checked(checks.br_cpf)),
    Kind("in_aadhaar", r"\b\d{4}[ -]\d{4}[ -]\d{4}\b", checked(checks.in_aadhaar)),
    Kind("in_pan", r"\b[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]\b", stands_alone),
    Kind("ca_sin", r"\b\d{3}[ -]\d{3}[ -]\d{3}\b",
          checked(lambda found: checks.luhn(found) and checks.varied(found),
                   said=r"\b(sin|social insurance)\b")),
    Kind("au_tfn", r"\b\d{3} ?\d{3} ?\d{3}\b",
          checked(checks.au_tfn, said=r"\b(tfn|tax file)\b")),
    Kind("se_personnummer", r"\b(19|20)?\d{6}[-+]\d{4}\b",
          checked(checks.se_personnummer, separators="-+")),
    Kind("fi_hetu", r"\b\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]\b",
          checked(checks.fi_hetu, separators="")),
    Kind("be_nrn", r"\b\d\d\.\d\d\.\d\d-\d{3}\.\d\d\b", checked(checks.be_nrn)),
    Kind("ch_ahv", r"\b756\.\d{4}\.\d{4}\.\d\d\b", checked(checks.ch_ahv)),
    Kind("cn_resident", r"\b[1-9]\d{16}[0-9Xx]\b", checked(checks.cn_resident)),
    Kind("kr_rrn", r"\b\d{6}-[1-8]\d{6}\b", checked(checks.kr_rrn)),
    Kind("passport", r"(passport|reisepass|passeport|pasaporte|driver'?s licen[cs]e"
          r"|driving licen[cs]e)"
          r"( (no|number|nr|num))?\.?( is)?[:#]? ?[A-Z0-9]{6,18}\b", _passport, True),
    Kind("birth_date", r"(born( on)?|dob|date of birth|birthday|geboren( am)?"
          r"|n[\xc3\xa9e]{1,3}( le)?)"
          r"( is|:)? [0-9a-z][0-9a-z,./ -]{5,18}\d\b",
          value_after(r"(?:born(?: on)?|dob|date of birth|birthday|geboren(?: am)?"
                      r"|n\S{1,3}(?: le)?)"
                      r"(?: is|:)? " + _DATE_SHAPE), True),
    Kind("bitcoin", r"\b(bc1[a-z0-9]{25,59}|[13][1-9A-HJ-NP-Za-km-z]{25,34})\b",
          _bitcoin),
    Kind("ethereum", r"\b0x[0-9a-fA-F]{40}\b", stands_alone),
    Kind("coordinates", r"-?\d{1,2}\.\d{4,10}, ?-?\d{1,3}\.\d{4,10}\b", stands_alone),
    Kind("phone", r"(\+|\b00|\b|\()[(]?\d[\d ()./-]{5}", _phone,
         rest=re.compile(rb"[\d ()./-]{0,15}\d")),
)  # fmt: skip
