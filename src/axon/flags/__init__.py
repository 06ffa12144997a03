"""What is decided for whom: flag definitions, and the variant that a turn or a client gets."""

from axon.flags.allocation import (
    PLACES,
    Allocation,
    place_of,
    read_allocation,
    write_allocation,
)
from axon.flags.changing import Asked, Author, Changed, FlagChanges
from axon.flags.definition import read_definitions
from axon.flags.documents import RULE_MARK, is_name, join_document, split_document
from axon.flags.errors import AllocationWrong, DefinitionInvalid, FlagsError, Mistake
from axon.flags.flag import Flag
from axon.flags.flag_set import EMPTY, FlagSet
from axon.flags.flags import Flags, FlagsParts
from axon.flags.for_flagd import for_flagd
from axon.flags.kept import Defined, FlagVersion, KeptFlag, Schedule
from axon.flags.listening import Listener
from axon.flags.metadata import ALLOCATION, KILLED
from axon.flags.projector import FlagsProjector
from axon.flags.refusals import (
    ChangeWrong,
    FlagChangedMeanwhile,
    FlagFromFile,
    FlagsUnavailable,
    TooManyListeners,
    UnknownFlag,
    UnknownSchedule,
    UnknownVersion,
)
from axon.flags.store import read_defined
from axon.flags.turn_effect import NO_EFFECT, Sampling, SystemPrompt, TurnEffect, joined
from axon.flags.under_experiment import EXPERIMENTS
from axon.flags.values import (
    BOOLEAN,
    DEFAULT,
    DISABLED,
    ERROR,
    FLAG_NOT_FOUND,
    GENERAL,
    NUMBER,
    OBJECT,
    OWNED,
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
    "ALLOCATION",
    "BOOLEAN",
    "DEFAULT",
    "DISABLED",
    "EMPTY",
    "ERROR",
    "EXPERIMENTS",
    "FLAG_NOT_FOUND",
    "GENERAL",
    "KILLED",
    "NO_EFFECT",
    "NUMBER",
    "OBJECT",
    "OWNED",
    "PARSE_ERROR",
    "PLACES",
    "RULE_MARK",
    "SPLIT",
    "STATIC",
    "STRING",
    "TARGETING_KEY_MISSING",
    "TARGETING_MATCH",
    "TYPE_MISMATCH",
    "UNITS",
    "Allocation",
    "AllocationWrong",
    "Asked",
    "Author",
    "ChangeWrong",
    "Changed",
    "Defined",
    "DefinitionInvalid",
    "Evaluation",
    "EvaluationContext",
    "Flag",
    "FlagChangedMeanwhile",
    "FlagChanges",
    "FlagFromFile",
    "FlagSet",
    "FlagVersion",
    "Flags",
    "FlagsError",
    "FlagsParts",
    "FlagsProjector",
    "FlagsUnavailable",
    "JsonValue",
    "KeptFlag",
    "Listener",
    "Mistake",
    "Primitive",
    "Sampling",
    "Schedule",
    "SystemPrompt",
    "TooManyListeners",
    "TurnEffect",
    "UnknownFlag",
    "UnknownSchedule",
    "UnknownVersion",
    "for_flagd",
    "is_name",
    "join_document",
    "joined",
    "place_of",
    "read_allocation",
    "read_defined",
    "read_definitions",
    "split_document",
    "write_allocation",
]
