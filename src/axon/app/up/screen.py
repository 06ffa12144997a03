"""What a person sees of `axon up`: progress while it starts, then how to use it."""

import shlex
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from axon.app.supervisor import Change

_CURL = """curl {base_url}/chat/completions \\
  -H "Authorization: Bearer {api_key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'"""

_PYTHON = """from openai import OpenAI

client = OpenAI(base_url="{base_url}", api_key="{api_key}")
conversation = client.conversations.create().id
question = {{"model": "{model}", "input": "Say hello.", "conversation": conversation}}
for event in client.responses.create(**question, stream=True):
    print(getattr(event, "delta", ""), end="", flush=True)
"""
"""Ends with its loop, so that it also works when pasted into a running interpreter."""


def snippets(base_url: str, api_key: str, model: str) -> tuple[str, str]:
    """Return the curl line and the Python program that work when pasted."""
    values = {"base_url": base_url, "api_key": api_key, "model": model}
    return _CURL.format(**values), _PYTHON.format(**values)


class Screen:
    """Writes to stderr; a terminal gets a spinner and colours, a file gets plain lines."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        """`clock` returns the seconds since the command was started."""
        self._console = console
        self._clock = clock
        self._status: Status | None = None
        self._was_ready: set[str] = set()
        self._stopping = False

    def doing(self, what: str) -> None:
        """Say what is going on now; replaces what was said before."""
        if not self._console.is_terminal:
            self._console.print(f"{what} ...")
        elif self._status is None:
            self._status = self._console.status(what)
            self._status.start()
        else:
            self._status.update(what)

    def progress(self, what: str) -> None:
        """Say how far it is; only where that replaces what was said before."""
        if self._console.is_terminal:
            self.doing(what)

    def stopping(self) -> None:
        """Say that everything is being stopped; ends are no news from now on."""
        self._stopping = True
        self.doing("stopping (press Ctrl-C again to kill)")

    def changed(self, change: Change) -> None:
        """Tell of a process that became ready, died or was stopped."""
        if change.what == "ready":
            again = " again" if change.name in self._was_ready else ""
            self._was_ready.add(change.name)
            self._line("green", "✓", f"{change.name} is ready{again}")
        elif change.what == "stopped":
            self._line("dim", "·", f"{change.name} stopped")
        elif change.what == "ended" and not self._stopping:
            how = _how_it_ended(change.exit_code)
            again_in = f"starting it again in {change.restart_in_s:.1f} s"
            self._line("red", "✗", f"{change.name} (process {change.pid}) {how}; {again_in}")

    def done(self, what: str) -> None:
        """Say that a step is done."""
        self._line("green", "✓", what)

    def _line(self, style: str, sign: str, text: str) -> None:
        seconds = f"{self._clock():6.2f} s"
        self._say(f"[dim]{seconds}[/dim]  [{style}]{sign}[/{style}] {escape(text)}")

    def quiet(self) -> None:
        """Take the spinner away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def welcome(self, base_url: str, api_key: str, model: str, data: Path) -> None:
        """Show the address, the key and two snippets; the snippets come unwrapped, for pasting."""
        self.quiet()
        curl, python = snippets(base_url, api_key, model)
        say = self._say
        say(f"\n[bold green]Axon is ready[/] after {self._clock():.2f} s\n")
        say(f"  Base URL  [bold]{base_url}[/]")
        say(f"  API key   [bold]{api_key}[/]")
        say(f"  Kept in   {escape(_short(data))}")
        for title, text in (("In a shell", curl), (f"In {_python()}", python)):
            say(f"\n[dim]{escape(title)}[/]\n")
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        command = escape(_command("chat", data))
        say(f"\n[dim]To talk to it:[/] {command}    [dim]To stop it:[/] Ctrl-C\n")

    def stopped(self, data: Path) -> None:
        """Say that all has ended, and where it is kept."""
        self.quiet()
        self._say(f"[dim]Stopped. The next start finds everything in {escape(_short(data))}.[/]")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def _python() -> str:
    """Return which Python the snippet can be pasted into."""
    return _short(Path(sys.executable)) if find_spec("openai") else "Python (pip install openai)"


def _command(name: str, data: Path) -> str:
    """Return how this person calls a command of axon for this data folder."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "axon" else "axon"
    if shutil.which("axon") == program:
        program = "axon"
    option = [] if data == Path(".axon").absolute() else ["--data", _short(data)]
    return shlex.join([_short(Path(program)), name, *option])


def _short(path: Path) -> str:
    """Return the path as seen from the current folder, where it lies inside it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _how_it_ended(exit_code: int) -> str:
    return f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with {exit_code}"
