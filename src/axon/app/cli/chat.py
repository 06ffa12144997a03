"""axon chat: talk to Axon in the terminal."""

import sys
from pathlib import Path

import click
from rich.console import Console

from axon.app.chat import Chat, ChatClient
from axon.app.cli.command import ExampleCommand, config_option, data_option, settings_from
from axon.app.cli.reaching import reached
from axon.app.folders import DataFolder


@click.command(
    cls=ExampleCommand,
    examples=[
        "axon chat",
        "axon chat --continue",
        'axon chat "Say hello in one sentence."',
        "git diff | axon chat --model smollm2",
        "axon chat --base-url https://axon.example.com/v1 --api-key sk-axon-...",
    ],
)
@click.argument("message", nargs=-1)
@click.option("--continue", "resume", is_flag=True, help="Go on with the last conversation.")
@click.option("--conversation", metavar="ID", help="Go on with this conversation.")
@click.option("--model", help="The model to ask, instead of the first on offer.")
@click.option("--base-url", envvar="AXON_BASE_URL", help="Where Axon is, with /v1.")
@click.option("--api-key", envvar="AXON_API_KEY", help="The key to use.")
@data_option
@config_option
def chat(message: tuple[str, ...], resume: bool, **options: str | Path | None) -> None:
    """Talk to Axon; without a MESSAGE, until Ctrl-D.

    Uses the address and the development key of the data folder's `axon up`.
    """
    text = " ".join(message)
    if not text and not sys.stdin.isatty():
        text = sys.stdin.read()
    config = options["config"]
    folder = DataFolder.of(
        settings_from(config if isinstance(config, Path) else None, {"AXON_DATA": options["data"]})
    )
    client = ChatClient(*reached(folder, options["base_url"], options["api_key"]))
    remembered = folder.root / "last-conversation"
    model = str(options["model"] or client.first_model())
    conversation = Chat(client, model, remembered, Console(highlight=False))
    if options["conversation"] or resume:
        conversation.resume(str(options["conversation"] or Chat.last_conversation(remembered)))
    else:
        conversation.begin()
    if text:
        conversation.say(text)
    else:
        conversation.talk()
