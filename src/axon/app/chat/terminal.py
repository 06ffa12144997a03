"""The chat itself: reads lines, streams answers, remembers the conversation."""

import readline  # noqa: F401  (gives input() a history and editing keys)
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from axon.app.chat.client import ChatClient, ChatFailed

_SHOWN_MESSAGES = 6
"""What is repeated of a conversation that is continued: enough to remember it."""

_HELP = "/new begins another conversation, /exit (or Ctrl-D) leaves, Ctrl-C stops listening."


class Chat:
    """One person, one conversation at a time."""

    def __init__(self, client: ChatClient, model: str, remembered: Path, console: Console) -> None:
        """`remembered` is the file that holds the last conversation's id."""
        self._client = client
        self._model = model
        self._remembered = remembered
        self._console = console
        self._conversation = ""

    @staticmethod
    def last_conversation(remembered: Path) -> str:
        """Return the conversation to continue; raises ChatFailed when there is none."""
        try:
            return remembered.read_text().strip()
        except FileNotFoundError:
            raise ChatFailed("there is no conversation to continue yet") from None

    def begin(self) -> None:
        """Begin a new conversation."""
        self._use(self._client.create_conversation())

    def resume(self, conversation: str) -> None:
        """Go on with a conversation and show how it stood."""
        for author, text in self._client.last_messages(conversation, _SHOWN_MESSAGES):
            name = "you" if author == "user" else "axon"
            self._console.print(f"[dim]{name} > {escape(text.strip())}[/]")
        self._use(conversation)

    def talk(self) -> None:
        """Read lines and answer them until the person leaves."""
        about = f"{self._model} · {self._conversation} · /help"
        self._console.print(f"[dim]{escape(about)}[/]\n")
        while True:
            try:
                text = self._console.input("[bold cyan]you >[/] ").strip()
            except (EOFError, KeyboardInterrupt):
                self._console.print()
                break
            if text in ("/exit", "/quit"):
                break
            if text == "/help":
                self._console.print(f"[dim]{_HELP}[/]")
            elif text == "/new":
                self.begin()
                self._console.print(f"[dim]{self._conversation}[/]")
            elif text:
                self._console.print("[bold green]axon >[/] ", end="")
                self._answer(text)
        self._console.print("[dim]axon chat --continue goes on from here.[/]")

    def say(self, text: str) -> None:
        """Say one thing and print the answer; raises ChatFailed."""
        for piece in self._client.say(self._conversation, self._model, text):
            self._console.print(piece.text, end="", markup=False, highlight=False, soft_wrap=True)
            if piece.kind == "incomplete":
                self._console.print(" [dim](cut off at its longest)[/]", end="")
        self._console.print()

    def _answer(self, text: str) -> None:
        try:
            self.say(text)
        except KeyboardInterrupt:
            self._console.print("\n[dim]The answer goes on without you and is kept.[/]")
        except ChatFailed as error:
            self._console.print(f"\n[red]{escape(str(error))}[/]")
        self._console.print()

    def _use(self, conversation: str) -> None:
        self._conversation = conversation
        self._remembered.write_text(conversation)
