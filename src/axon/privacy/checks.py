"""Checksums and shapes that tell a number of a person from any other number.

Each takes the digits or letters of a candidate, separators left out, and returns whether it can be
one. Sources: ISO/IEC 7812 (Luhn), ISO 13616 (IBAN), ISO 7064, and each country's own rule.
"""

import re

_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15), **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "NL", "FO", "GL"), 18), **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("PT",), 25), **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "PL", "UA"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA"), 29), **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
}  # fmt: skip
"""Characters of an IBAN, by country."""

_VERHOEFF_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_MOVES = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    """Return the sum of the digits, each times its weight."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(digits: str) -> bool:
    """Return whether the last digit is Luhn's check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def varied(digits: str) -> bool:
    """Return whether it is more than one digit again and again, as in a made-up example."""
    return len(set(digits)) > 1


def iban_length(text: str) -> int:
    """Return how many characters an IBAN that begins so has; 0 for a country that has none."""
    return _IBAN_LENGTHS.get(text[:2], 0)


def iban(text: str) -> bool:
    """Return whether it has its country's length and the remainder of ISO 7064, mod 97-10."""
    if len(text) != iban_length(text):
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def card(digits: str) -> bool:
    """Return whether it is a payment card's: an issuer's beginning, its length, Luhn."""
    known = re.match(
        r"4(\d{12}|\d{15}|\d{18})$|(5[1-5]|2[2-7])\d{14}$|3[47]\d{13}$|3(0[0-5]|[68]\d)\d{11}$"
        r"|(6011|65\d\d|64[4-9]\d)\d{12}$|35(2[89]|[3-8]\d)\d{12}$|62\d{14,17}$|(50|5[6-8]|6)\d{11,18}$",
        digits,
    )
    return known is not None and varied(digits) and luhn(digits)


def us_ssn(digits: str) -> bool:
    """Return whether the Social Security Administration may have given it out."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def uk_nhs(digits: str) -> bool:
    """Return whether the check digit, mod 11, is right."""
    check = 11 - weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return check != 10 and check % 11 == int(digits[9]) and varied(digits)


def es_dni(text: str) -> bool:
    """Return whether the letter fits the number, of a DNI or, with X, Y or Z in front, a NIE."""
    number = text[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3,
         6, 8, 12, 14, 16, 10, 22, 25, 24, 23],
        strict=True,
    )
)  # fmt: skip


def it_codice_fiscale(text: str) -> bool:
    """Return whether the last letter is the check of the fifteen before it."""
    total = 0
    for place, char in enumerate(text[:15]):
        even = int(char) if char.isdigit() else ord(char) - ord("A")
        total += even if place % 2 else _ODD[char]
    return chr(ord("A") + total % 26) == text[15]


def fr_nir(text: str) -> bool:
    """Return whether the key, 97 less the remainder, fits; Corsica's letters count as digits."""
    number = int(text[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(text[13:]) and text[0] in "12"


def de_steuer_id(digits: str) -> bool:
    """Return whether the check of ISO 7064, mod 11,10, is right."""
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return digits[0] != "0" and (11 - product) % 10 == int(digits[10])


def nl_bsn(digits: str) -> bool:
    """Return whether it passes the test of eleven."""
    return varied(digits) and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pl_pesel(digits: str) -> bool:
    """Return whether the check digit and the date of birth are right."""
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    check = (10 - weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10
    return 1 <= month <= 12 and 1 <= day <= 31 and check == int(digits[10])


def br_cpf(digits: str) -> bool:
    """Return whether both check digits are right."""
    first = weighted(digits[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = weighted(digits[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return varied(digits) and digits[9:] == f"{first}{second}"


def in_aadhaar(digits: str) -> bool:
    """Return whether Verhoeff's check is right."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF_TIMES[check][int(_VERHOEFF_MOVES[place % 8][int(digit)])])
    return check == 0 and digits[0] not in "01"


def au_tfn(digits: str) -> bool:
    """Return whether the weighted sum is a multiple of eleven."""
    return varied(digits) and weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def se_personnummer(digits: str) -> bool:
    """Return whether the date and Luhn's check of the last ten digits are right."""
    short = digits[-10:]
    return 1 <= int(short[2:4]) <= 12 and 1 <= int(short[4:6]) % 60 <= 31 and luhn(short)


def fi_hetu(text: str) -> bool:
    """Return whether the check character, mod 31, is right."""
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31] == text[10]


def be_nrn(digits: str) -> bool:
    """Return whether the check, 97 less the remainder, is right for either century."""
    number, check = int(digits[:9]), int(digits[9:])
    return check in (97 - number % 97, 97 - (2_000_000_000 + number) % 97)


def ch_ahv(digits: str) -> bool:
    """Return whether the check digit is that of an EAN-13."""
    return (10 - weighted(digits, (1, 3) * 6) % 10) % 10 == int(digits[12])


def cn_resident(text: str) -> bool:
    """Return whether the date and the check of ISO 7064, mod 11-2, are right."""
    total = weighted(text[:17], (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    dated = 1 <= int(text[10:12]) <= 12 and 1 <= int(text[12:14]) <= 31
    return dated and "10X98765432"[total % 11] == text[17].upper()


def kr_rrn(digits: str) -> bool:
    """Return whether it begins with a date and goes on with a sex and century."""
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31 and digits[6] in "12345678"


def us_routing(digits: str) -> bool:
    """Return whether the American Bankers Association's check is right."""
    return varied(digits) and weighted(digits, (3, 7, 1) * 3) % 10 == 0
