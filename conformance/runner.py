"""Runs checks one after another, each on its own connection and within its own time."""

import asyncio
import time
from collections.abc import Callable, Iterable

from openai import APIConnectionError, APIStatusError, APITimeoutError

from conformance.registry import Check, Result
from conformance.results import Line
from conformance.server import CALL_TIMEOUT_S, Server, Target
from conformance.verdicts import Failed, NoHook, NoKey, Refused, status_of

_CLAUSE_MAX = 140


async def run_checks(
    checks: Iterable[Check], target: Target, tell: Callable[[Line], None]
) -> tuple[Line, ...]:
    """Run the checks, tell of each as it ends, and return all; no check can stop the run."""
    lines = []
    for check in checks:
        began = time.monotonic()
        result, seen = await _judge(check, target)
        line = Line(
            group=check.group,
            check=check.name,
            result=result,
            seen=" ".join(seen.split())[:_CLAUSE_MAX],
            seconds=round(time.monotonic() - began, 2),
        )
        tell(line)
        lines.append(line)
    return tuple(lines)


async def _judge(check: Check, target: Target) -> tuple[Result, str]:
    """Return how a check ended, and what was seen."""
    try:
        async with asyncio.timeout(check.budget_s), Server(target) as server:
            return Result.OK, await check.function(server)
    except Failed as found:
        return Result.FAILS, str(found)
    except Refused as found:
        return Result.REFUSED, str(found)
    except NoHook as found:
        return Result.NO_HOOK, str(found)
    except NoKey as found:
        return Result.NO_KEY, str(found)
    except APIStatusError as error:
        return Result.FAILS, status_of(error)
    except APITimeoutError:
        return Result.FAILS, f"a call got no answer in {CALL_TIMEOUT_S:.0f} s"
    except APIConnectionError as error:
        return Result.FAILS, f"the connection broke: {error.__cause__ or error}"
    except TimeoutError:
        return Result.FAILS, f"not done after {check.budget_s:.0f} s"
    except Exception as error:  # noqa: BLE001 - an answer of any shape may not stop the run
        return Result.FAILS, f"unusable answer: {error!r}"
