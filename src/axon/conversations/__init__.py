"""Conversations: their order, their history, what is read and changed of them."""

from axon.conversations.conversations import (
    Conversations,
    ConversationsOptions,
    ConversationsParts,
)
from axon.conversations.errors import (
    ConversationBusy,
    ConversationError,
    ConversationNotFound,
    HistoryUnavailable,
    ItemNotFound,
    LeaseLost,
    TailFull,
    TurnNotFound,
)
from axon.conversations.fit import FittedWindow, fit_window
from axon.conversations.history import HistoryItem, HistoryTurn, WindowTurn
from axon.conversations.projector import ConversationsProjector
from axon.conversations.tail import Tail
from axon.conversations.values import (
    Begun,
    Conversation,
    ItemPage,
    Lease,
    NewItem,
    Owner,
    StoredItem,
    StoredTurn,
    TurnPlace,
)

__all__ = [
    "Begun",
    "Conversation",
    "ConversationBusy",
    "ConversationError",
    "ConversationNotFound",
    "Conversations",
    "ConversationsOptions",
    "ConversationsParts",
    "ConversationsProjector",
    "FittedWindow",
    "HistoryItem",
    "HistoryTurn",
    "HistoryUnavailable",
    "ItemNotFound",
    "ItemPage",
    "Lease",
    "LeaseLost",
    "NewItem",
    "Owner",
    "StoredItem",
    "StoredTurn",
    "Tail",
    "TailFull",
    "TurnNotFound",
    "TurnPlace",
    "WindowTurn",
    "fit_window",
]
