"""The command line: what to run against which server, and what to print of it."""

import argparse
import asyncio
import datetime
import sys
from pathlib import Path
from urllib.parse import urlsplit

import openai

from conformance import VERSION, groups
from conformance.hooks import Hooks
from conformance.registry import GROUPS, Check, Result
from conformance.registry import chosen as checks_of
from conformance.results import Line, Run, load, save
from conformance.runner import run_checks
from conformance.server import LONG, Target
from conformance.tables import HEADING, line_of, markdown, side_by_side, summary

_COULD_NOT_RUN = 2
_FIRST_CALL_TIMEOUT_S = 10.0

_EXAMPLES = """\
examples:
  python -m conformance --base-url http://127.0.0.1:8080/v1 --api-key sk-...
  python -m conformance ... --only conversations --only items   only these groups
  python -m conformance ... --json mine.json --name "mine 1.2"  save the results
  python -m conformance --compare mine.json other.json          servers side by side
  python -m conformance --list                                  every check and its promise
  python -m conformance.upstream --port 9000                    a model that costs nothing

hooks are shell commands; without them the checks that hurt the server are skipped:
  --hook-stall   freeze the storage        kill -STOP $(cat postgres.pid)
  --hook-heal    and let it go on          kill -CONT $(cat postgres.pid)
  --hook-kill    kill the server           kill -KILL $(cat server.pid)
  --hook-restart start it again            ./start-server.sh

exit status: 0 all ok or skipped, 1 something fails or is refused, 2 it could not be run
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    say = parser.add_argument
    say("--base-url", metavar="URL", default="", help="where the server answers, with /v1")
    say("--api-key", metavar="KEY", default="none", help="a key of the server")
    say("--model", default="", help="instead of the first one the server lists")
    say("--only", metavar="GROUP", action="append", default=[], help="run this group; repeatable")
    say("--json", metavar="FILE", type=Path, help="save the results")
    say("--name", default="", help="name and version of the server, for the saved results")
    say("--stranger-key", metavar="KEY", default="", help="a key of another user or tenant")
    say("--echo-model", metavar="MODEL", default="", help="a model that answers with its input")
    say("--long-text", metavar="TEXT", default=LONG, help="asks for an answer of some seconds")
    for name in ("stall", "heal", "kill", "restart"):
        say(f"--hook-{name}", metavar="CMD", default="", help="see below")
    say("--compare", metavar="FILE", type=Path, nargs="+", help="print saved results and end")
    say("--markdown", action="store_true", help="with --compare: as Markdown")
    say("--list", action="store_true", help="print every check's promise and end")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments, or the command line, say; return the exit status."""
    assert groups.__all__  # importing them registered the checks
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.compare:
        runs = [load(path) for path in chosen.compare]
        _print(markdown(runs) if chosen.markdown else side_by_side(runs))
        return 0
    if unknown := set(chosen.only) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    checks = checks_of(chosen.only)
    if chosen.list:
        _print("\n\n".join(f"{one.group}: {one.name}\n{_indented(one)}" for one in checks))
        return 0
    if not chosen.base_url:
        parser.error("--base-url is missing")
    return asyncio.run(_run(chosen, checks))


async def _run(chosen: argparse.Namespace, checks: list[Check]) -> int:
    """Run the checks against the server; return the exit status."""
    try:
        model = chosen.model or await _first_model(chosen.base_url, chosen.api_key)
    except (openai.OpenAIError, IndexError) as error:
        sys.stderr.write(f"{chosen.base_url} lists no model; name one with --model: {error}\n")
        return _COULD_NOT_RUN
    target = Target(
        base_url=chosen.base_url,
        api_key=chosen.api_key,
        model=model,
        stranger_key=chosen.stranger_key,
        echo_model=chosen.echo_model,
        long_text=chosen.long_text,
        hooks=Hooks(
            stall=chosen.hook_stall,
            heal=chosen.hook_heal,
            kill=chosen.hook_kill,
            restart=chosen.hook_restart,
        ),
    )
    _print(HEADING)
    lines = await run_checks(checks, target, _tell)
    run = Run(
        server=chosen.name or urlsplit(chosen.base_url).netloc,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),  # noqa: TID251 - a real day
        model=model,
        suite=VERSION,
        sdk=openai.__version__,
        lines=lines,
    )
    _print("\n" + summary(run))
    if chosen.json:
        save(run, chosen.json)
    return 1 if run.count(Result.FAILS) or run.count(Result.REFUSED) else 0


async def _first_model(base_url: str, api_key: str) -> str:
    """Return the first model the server lists; raises IndexError when it lists none."""
    client = openai.AsyncOpenAI(
        base_url=base_url, api_key=api_key, max_retries=0, timeout=_FIRST_CALL_TIMEOUT_S
    )
    async with client:
        return (await client.models.list()).data[0].id


def _indented(check: Check) -> str:
    return "\n".join(f"    {line}".rstrip() for line in check.promise.splitlines())


def _tell(line: Line) -> None:
    _print(line_of(line))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
