"""The units the code counts in; a name ends in its unit and says it again here."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MICROS_PER_SECOND = 1_000_000

NANOS_PER_UNIT = 1_000_000_000
"""Money is an integer count of nano-units of a currency: one dollar is this many."""
