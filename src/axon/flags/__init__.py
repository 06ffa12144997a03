"""What is decided for whom: flag definitions, and the variant that a turn or a client gets."""

from axon.flags.definition import read_definitions
from axon.flags.errors import DefinitionInvalid, FlagsError, Mistake
from axon.flags.flag import Flag
from axon.flags.flag_set import EMPTY, FlagSet
from axon.flags.values import (
    BOOLEAN,
    DEFAULT,
    DISABLED,
    ERROR,
    FLAG_NOT_FOUND,
    GENERAL,
    NUMBER,
    OBJECT,
    PARSE_ERROR,
    SPLIT,
    STATIC,
    STRING,
    TARGETING_KEY_MISSING,
    TARGETING_MATCH,
    TYPE_MISMATCH,
    UNITS,
    Evaluation,
    EvaluationContext,
    JsonValue,
    Primitive,
)

__all__ = [
    "BOOLEAN",
    "DEFAULT",
    "DISABLED",
    "EMPTY",
    "ERROR",
    "FLAG_NOT_FOUND",
    "GENERAL",
    "NUMBER",
    "OBJECT",
    "PARSE_ERROR",
    "SPLIT",
    "STATIC",
    "STRING",
    "TARGETING_KEY_MISSING",
    "TARGETING_MATCH",
    "TYPE_MISMATCH",
    "UNITS",
    "DefinitionInvalid",
    "Evaluation",
    "EvaluationContext",
    "Flag",
    "FlagSet",
    "FlagsError",
    "JsonValue",
    "Mistake",
    "Primitive",
    "read_definitions",
]
