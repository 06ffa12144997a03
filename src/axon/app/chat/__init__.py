"""A chat in the terminal: Axon's own API, spoken as any client would."""

from axon.app.chat.client import ChatClient, ChatFailed, Piece
from axon.app.chat.terminal import Chat

__all__ = ["Chat", "ChatClient", "ChatFailed", "Piece"]
