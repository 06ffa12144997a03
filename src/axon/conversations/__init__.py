"""Conversations: their order, their history, what is read and changed of them."""

from axon.conversations.chat_completions import ChatCompletions, ChatPage, StoredChat
from axon.conversations.chat_store import ChatFilter
from axon.conversations.conversations import Conversations
from axon.conversations.errors import (
    ConversationBusy,
    ConversationError,
    ConversationNotFound,
    CursorExpired,
    ForkCutsCall,
    ForkTooLarge,
    HistoryAway,
    HistoryUnavailable,
    ItemNotFound,
    LeaseLost,
    LoadsBusy,
    NotACursor,
    SearchBusy,
    TailFull,
    TooManySubscribers,
    TurnNotFound,
)
from axon.conversations.feed import FeedChange, FeedPage
from axon.conversations.fit import FittedWindow, fit_window
from axon.conversations.following import ConversationEvent, Followed
from axon.conversations.history import SUMMARY, HistoryItem, HistoryTurn, WindowTurn
from axon.conversations.hub import Hub
from axon.conversations.keys import Claim, IdempotencyKeys, KeyReused, KeysFull, RequestKey
from axon.conversations.listing import ConversationPage, Wanted
from axon.conversations.lost_places import LostPlaces
from axon.conversations.opening import Opener
from axon.conversations.parts import ConversationsOptions, ConversationsParts
from axon.conversations.projector import ConversationsProjector
from axon.conversations.searching import SearchHit, SearchPage
from axon.conversations.tail import Tail
from axon.conversations.values import (
    UNCHANGED,
    Begun,
    Conversation,
    ForkOrigin,
    ItemPage,
    Lease,
    NewItem,
    Owner,
    StoredItem,
    StoredTurn,
    TurnPlace,
    Unchanged,
    Update,
)

__all__ = [
    "SUMMARY",
    "UNCHANGED",
    "Begun",
    "ChatCompletions",
    "ChatFilter",
    "ChatPage",
    "Claim",
    "Conversation",
    "ConversationBusy",
    "ConversationError",
    "ConversationEvent",
    "ConversationNotFound",
    "ConversationPage",
    "Conversations",
    "ConversationsOptions",
    "ConversationsParts",
    "ConversationsProjector",
    "CursorExpired",
    "FeedChange",
    "FeedPage",
    "FittedWindow",
    "Followed",
    "ForkCutsCall",
    "ForkOrigin",
    "ForkTooLarge",
    "HistoryAway",
    "HistoryItem",
    "HistoryTurn",
    "HistoryUnavailable",
    "Hub",
    "IdempotencyKeys",
    "ItemNotFound",
    "ItemPage",
    "KeyReused",
    "KeysFull",
    "Lease",
    "LeaseLost",
    "LoadsBusy",
    "LostPlaces",
    "NewItem",
    "NotACursor",
    "Opener",
    "Owner",
    "RequestKey",
    "SearchBusy",
    "SearchHit",
    "SearchPage",
    "StoredChat",
    "StoredItem",
    "StoredTurn",
    "Tail",
    "TailFull",
    "TooManySubscribers",
    "TurnNotFound",
    "TurnPlace",
    "Unchanged",
    "Update",
    "Wanted",
    "WindowTurn",
    "fit_window",
]
