"""What is done about a turn's texts: personal data hidden from the engine, and safety, both ways.

Before the engine, once: what is new in the request is checked, then values become names. After it,
as the answer grows: the rules look at a window that runs ahead of what is shown, and names become
values again. A moderation endpoint is asked when the answer is whole; where its word may stop the
answer, nothing is shown before.
"""

import msgspec

from axon.conversations import NewItem
from axon.privacy import Restorer
from axon.records import Verdict
from axon.safety import OFF, Level, RulesWindow
from axon.turns.answer import TurnFailure
from axon.turns.gate import Gate
from axon.turns.guard import PASSED, Guard, TextFilter, done_by
from axon.turns.request import RunningTurn, TurnRequest
from axon.turns.rooms import TurnRooms
from axon.turns.steering import Steered, Steering
from axon.turns.told import hiding_policy, told_again, with_names, written

REFUSED = TurnFailure(
    status=400,
    code="content_policy_violation",
    message="The request was refused by the safety rules of this service.",
    kind="invalid_request_error",
)

UNCHECKED = TurnFailure(
    status=503,
    code="safety_unavailable",
    message="The request could not be checked for safety. Please retry.",
    retry_after_ms=1000,
)

_BLOCKED, _UNCHECKED = "blocked", "unchecked"
_ENDPOINT = "endpoint"


def guards(rooms: TurnRooms) -> bool:
    """Return whether any turn may have something hidden or checked."""
    return rooms.safety is not None or rooms.policies.hide_anything


async def guard_input(rooms: TurnRooms, steered: Steered, fields: bytes) -> tuple[Steered, bytes]:
    """Return what the engine is told, and the turn with what was found; raises nothing."""
    request, steering = steered.asked, steered.steering
    level = level_of(rooms, request, steering.effect.safety or "")
    verdicts: list[Verdict] = []
    removed: tuple[str, ...] = ()
    if level.input != "off":
        texts = _new_texts(request)
        verdicts, removed = _ruled(rooms, level, texts)
        if level.endpoint and not any(_stops(level, one) for one in verdicts):
            verdicts.append(await _asked(rooms, request.org_id, level, "input", "\n".join(texts)))
    refused = next((one.action for one in verdicts if _stops(level, one)), "")
    fields = told_again(fields, {}, removed)
    policy, hidden = hiding_policy(rooms, request.org_id), dict[str, str]()
    if policy is not None:
        fields, hidden = with_names(policy, fields)
    steering = msgspec.structs.replace(steering, hidden=hidden, removed=removed, refused=refused)
    return msgspec.structs.replace(steered, steering=steering, verdicts=verdicts), fields


def refusal_of(steering: Steering) -> TurnFailure | None:
    """Return why no engine is told of the turn; None for one that may be."""
    if not steering.refused:
        return None
    return REFUSED if steering.refused == _BLOCKED else UNCHECKED


def level_of(rooms: TurnRooms, request: TurnRequest, chosen: str) -> Level:
    """Return the level of safety that counts for a turn."""
    if rooms.safety is None or request.ours or request.surface == "embeddings":
        return OFF
    return rooms.safety.level(chosen)


def _stops(level: Level, verdict: Verdict) -> bool:
    return verdict.action == _BLOCKED or (verdict.action == _UNCHECKED and level.fail_closed)


def _ruled(
    rooms: TurnRooms, level: Level, texts: list[str]
) -> tuple[list[Verdict], tuple[str, ...]]:
    """Return what the rules say of texts, and what is to be cut out of them."""
    assert rooms.safety is not None
    categories: dict[str, None] = {}
    found: dict[str, None] = {}
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        for hit in rooms.safety.rules.find(data):
            categories[hit.category] = None
            found[data[hit.start : hit.end].decode("utf-8", "surrogatepass")] = None
    action = done_by(level.input) if categories else PASSED
    verdict = Verdict("input", f"rules {rooms.safety.rules.version}", action, [*categories])
    return [verdict], (tuple(found) if level.input == "redact" else ())


async def _asked(
    rooms: TurnRooms, org_id: str, level: Level, stage: str, text: str | None
) -> Verdict:
    """Return what the moderation endpoint says of a text, and what that leads to."""
    policy = hiding_policy(rooms, org_id)
    if policy is not None and text is not None:
        text = policy.redactor.redact_text(text)
    said = None
    if rooms.moderator is not None and text is not None:
        said = await rooms.moderator.ask(text)
    if said is None or not said.known:
        return Verdict(stage, _ENDPOINT, _UNCHECKED)
    action = level.input if stage == "input" else level.output
    if said.outcome != "flagged":
        return Verdict(stage, _ENDPOINT, PASSED)
    done = "flagged" if action == "flag" else _BLOCKED
    return Verdict(stage, _ENDPOINT, done, [*said.categories])


def _new_texts(request: TurnRequest) -> list[str]:
    """Return what people and tools say in the request that no engine has answered yet."""
    found: list[str] = []
    if request.surface == "responses":
        items: list[bytes] = [item.content for item in request.items if _is_new(item)]
    elif request.surface == "chat":
        items = _behind_the_last_answer(bytes(request.fields.get("messages") or b"[]"))
    else:
        items = [bytes(request.fields.get("prompt") or b"null")]
    for item in items:
        found += written(item)
    return found


def _is_new(item: NewItem) -> bool:
    return item.author not in ("assistant", "system", "developer")


class _Message(msgspec.Struct):
    role: str = ""


def _behind_the_last_answer(messages: bytes) -> list[bytes]:
    try:
        read = msgspec.json.decode(messages, type=list[msgspec.Raw])
        roles = [msgspec.json.decode(one, type=_Message).role for one in read]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # whatever that is, the engine is to refuse it
    last = max((at for at, role in enumerate(roles) if role == "assistant"), default=-1)
    new = zip(read[last + 1 :], roles[last + 1 :], strict=True)
    return [bytes(one) for one, role in new if role not in ("system", "developer")]


def _in_json(value: str) -> str:
    return msgspec.json.encode(value)[1:-1].decode()


def guard_of(rooms: TurnRooms, request: TurnRequest, steering: Steering) -> Guard | None:
    """Return what stands behind the engine of a turn; None where nothing has to."""
    level = level_of(rooms, request, steering.effect.safety or "")
    if level.output == "off" and not steering.hidden:
        return None
    windows: list[RulesWindow] = []

    def make(in_json: bool) -> TextFilter:
        window = None
        if level.output != "off" and rooms.safety is not None:
            window = RulesWindow(rooms.safety.rules, level.output)
            windows.append(window)
        restorer = Restorer(steering.hidden, _in_json) if in_json else Restorer(steering.hidden)
        return TextFilter(window, restorer)

    asks = level.endpoint and level.output != "off"
    gate = Gate(make, asks=asks, holds=asks and level.output != "flag")
    version = rooms.safety.rules.version if rooms.safety is not None else 0
    return Guard(gate, level, windows, f"rules {version}")


async def ask_about_answer(rooms: TurnRooms, turn: RunningTurn, whole: bytes | None) -> bytes:
    """Return what may be shown now that the answer is whole: what was held, or an end without it.

    `whole`: an unstreamed answer, which is returned as it may be shown.
    """
    guard = turn.guard
    assert guard is not None
    gate = guard.gate
    shown = None if whole is None else gate.whole(whole)
    if guard.level.output == "off" or not guard.level.endpoint or gate.closed:
        return gate.release() if shown is None else shown
    org_id = turn.head.org_id
    verdict = await _asked(rooms, org_id, guard.level, "output", gate.said)
    guard.found.append(verdict)
    if _stops(guard.level, verdict) and guard.level.output != "flag":
        return gate.stop() if whole is None else gate.stopped(whole)
    return gate.release() if shown is None else shown
