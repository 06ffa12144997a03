"""What flags decide about a turn: asked once, when it is accepted, and written into its record.

A turn that runs again does what its record says; no flag is asked for it a second time.
"""

import msgspec

from axon.flags import (
    ERROR,
    NO_EFFECT,
    Evaluation,
    EvaluationContext,
    Flag,
    Sampling,
    SystemPrompt,
    TurnEffect,
    joined,
)
from axon.inference import ModelTable, Passage, UnknownModel
from axon.records import Assignment, Retrieval, TurnAccepted, Verdict
from axon.sealing import key_id_of, open_sealed
from axon.turns.engine_request import Fields
from axon.turns.known_answers import Meaning
from axon.turns.left_open import blob_context
from axon.turns.passages import question_of
from axon.turns.request import STEERING_ITEM, TurnRequest
from axon.turns.rooms import TurnRooms
from axon.turns.told import redacted_texts

_TOOLS = frozenset(
    {"tools", "tool_choice", "parallel_tool_calls", "max_tool_calls", "functions", "function_call"}
)
"""Members that tell a model of tools."""

_SYSTEM_ROLES = ("system", "developer")

_CAPS = {
    "chat": ("max_tokens", "max_completion_tokens"),
    "completions": ("max_tokens",),
    "responses": ("max_output_tokens",),
}
"""What bounds the answer, by surface; the first is what engines of all kinds know."""

_NULL = b"null"
_encode = msgspec.json.encode


class Steering(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is done to one request by flags, privacy and safety: enough to do it again."""

    effect: TurnEffect = NO_EFFECT
    passages: tuple[Passage, ...] = ()
    hidden: dict[str, str] = {}
    """The value that each name stands for which the engine is told instead."""
    removed: tuple[str, ...] = ()
    """What safety cut out of what the engine is told."""
    refused: str = ""
    """Why no engine is told of the turn: blocked, or unchecked while nobody could check it."""


class Steered(msgspec.Struct, frozen=True):
    """A request beside what flags made of it."""

    asked: TurnRequest
    """As the client sees it, in its answer too."""
    request: TurnRequest
    """As it is carried out; the same where no flag does anything."""
    steering: Steering = Steering()
    assignments: list[Assignment] = []
    retrieval: Retrieval = Retrieval()
    verdicts: list[Verdict] = []
    """What safety found in what was asked."""
    at_us: int = 0
    """The instant that the flags were asked about; 0 when none was."""


_steering = msgspec.json.Decoder(Steering)


def steer(rooms: TurnRooms, request: TurnRequest, conversation_id: str) -> Steered:
    """Return the request with what the flags do to it; waits for nothing and raises nothing.

    A variant that cannot be carried out is off, with ERROR in its assignment.
    """
    flag_set = rooms.flag_set()
    if not flag_set.turn_flags or request.ours or request.surface == "embeddings":
        return Steered(request, request)
    user = f"{request.user:016x}"
    context = EvaluationContext(
        now_us=rooms.clock.now_us(),
        targeting_key=user,
        user=user,
        org=request.org_id,
        conversation=conversation_id,
        region=request.region,
        model=request.model,
        tier=request.tier,
        placed=f"{request.placed_as:016x}" if request.placed_as else user,
        claimed={"surface": request.surface},
    )
    known = rooms.known_answers.of(flag_set)
    placed_as = 0 if request.placed_as == request.user else request.placed_as
    effect, assignments = NO_EFFECT, []
    for flag in flag_set.turn_flags:
        found = flag.evaluate(context)
        answered = (flag.key, found.variant, found.reason)
        meaning = known.get(answered)
        if meaning is None:
            version = flag_set.versions.get(flag.key, 0)
            meaning = known[answered] = _meaning(flag, found, rooms.models, version)
        assignment = meaning.assignment
        if placed_as and assignment.unit == "user":
            assignment = msgspec.structs.replace(assignment, placed_as=placed_as)
        assignments.append(assignment)
        if meaning.effect is not NO_EFFECT:
            effect = joined(effect, meaning.effect)
    return Steered(
        asked=request,
        request=carry_out(request, effect),
        steering=Steering(effect),
        assignments=assignments,
        at_us=context.now_us,
    )


def _meaning(flag: Flag, found: Evaluation, models: ModelTable, version: int) -> Meaning:
    """Return what an answer of a flag means for a turn."""
    variant, reason, does = found.variant or "", found.reason, NO_EFFECT
    if found.variant is not None:
        does = flag.effects[found.variant]
        if does.model is not None and not _is_served(models, does.model):
            variant, reason, does = "", ERROR, NO_EFFECT
    assignment = Assignment(
        flag=flag.key,
        variant=variant,
        reason=reason,
        definition_version=version,
        bucketing_version=int(found.bucketing_version.removeprefix("v")),
        unit=found.unit,
        definition=found.definition_version,
    )
    return Meaning(assignment, does)


def _is_served(models: ModelTable, alias: str) -> bool:
    try:
        models.resolve(alias)
    except UnknownModel:
        return False
    return True


async def with_retrieval(rooms: TurnRooms, steered: Steered) -> Steered:
    """Return the same with the passages that were found for its question, if any were.

    Waits no longer than is set for that, and raises nothing.
    """
    request = steered.asked
    question = question_of(request)
    if rooms.retriever is None or not question:
        outcome = "none_set" if rooms.retriever is None else "no_question"
        return msgspec.structs.replace(steered, retrieval=Retrieval(outcome))
    [question] = redacted_texts(rooms, request.org_id, [question])
    found = await rooms.retriever.find(question, request.org_id, f"{request.user:016x}")
    return msgspec.structs.replace(
        steered,
        steering=Steering(steered.steering.effect, found.passages),
        retrieval=Retrieval(found.outcome, len(found.passages), found.took_us),
    )


def without_passages(steered: Steered) -> Steered:
    """Return the same for a question that leaves no room for what was found."""
    return msgspec.structs.replace(
        steered,
        steering=Steering(steered.steering.effect),
        retrieval=Retrieval("no_room", 0, steered.retrieval.took_us),
    )


def kept_of(steering: Steering) -> bytes:
    """Return what a record keeps of it, before sealing; nothing when nothing was done."""
    return b"" if steering == Steering() else _encode(steering)


async def recorded(rooms: TurnRooms, accepted: TurnAccepted, request: TurnRequest) -> Steered:
    """Return a request that was accepted, with what was done to it then; raise KeyGone."""
    head = accepted.head
    steering = Steering()
    if accepted.steering:
        key = await rooms.keys.by_id(key_id_of(accepted.steering))
        context = blob_context(head, STEERING_ITEM)
        steering = _steering.decode(open_sealed(key, context, accepted.steering))
    done = carry_out(request, steering.effect)
    return Steered(
        asked=request,
        request=done,
        steering=steering,
        assignments=accepted.assignments,
        retrieval=head.retrieval,
        verdicts=accepted.verdicts,
    )


def carry_out(request: TurnRequest, effect: TurnEffect) -> TurnRequest:
    """Return the request as it is carried out; its items, and what it is known by, stay."""
    if effect == NO_EFFECT:
        return request
    fields, cap = dict(request.fields), request.output_tokens_max
    instructions = request.instructions
    if effect.tools is False:
        fields = {name: value for name, value in fields.items() if name not in _TOOLS}
    if effect.sampling is not None:
        cap = _sample(fields, request.surface, effect.sampling) or cap
    if effect.system is not None and request.surface == "responses":
        instructions = _instructions(effect.system, instructions)
    elif effect.system is not None and request.surface == "chat":
        _put_system(fields, effect.system)
    return msgspec.structs.replace(
        request,
        model=effect.model or request.model,
        fields=fields,
        instructions=instructions,
        output_tokens_max=cap,
    )


def _sample(fields: Fields, surface: str, sampling: Sampling) -> int | None:
    """Set the parameters that count; return the bound of the answer where it is one of them."""
    values = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
    }
    for name, value in values.items():
        if value is not None and (sampling.force or not _named(fields, name)):
            fields[name] = msgspec.Raw(_encode(value))
    cap, names = sampling.output_tokens_max, _CAPS[surface]
    if cap is None or (not sampling.force and any(_named(fields, name) for name in names)):
        return None
    for name in names:
        fields.pop(name, None)
    fields[names[0]] = msgspec.Raw(_encode(cap))
    return cap


def _named(fields: Fields, name: str) -> bool:
    value = fields.get(name)
    return value is not None and bytes(value) != _NULL


def _instructions(system: SystemPrompt, theirs: str | None) -> str:
    return system.text if system.replace or not theirs else f"{system.text}\n\n{theirs}"


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[msgspec.Raw] | None = None


_messages = msgspec.json.Decoder(list[msgspec.Raw])
_message = msgspec.json.Decoder(_Message)


def _put_system(fields: Fields, system: SystemPrompt) -> None:
    """Set the system prompt of a chat completion: one message, as every chat template knows it."""
    try:
        messages = _messages.decode(fields["messages"])
        read = [_message.decode(message) for message in messages]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # whatever that is, the engine is to refuse it
    ours: bytes = _encode({"role": "system", "content": system.text})
    if system.replace:
        rest = [
            bytes(message)
            for message, one in zip(messages, read, strict=True)
            if one.role not in _SYSTEM_ROLES
        ]
    elif read and read[0].role in _SYSTEM_ROLES:
        rest = [bytes(message) for message in messages[1:]]
        ours = _before(system.text, messages[0], read[0])
    else:
        rest = [bytes(message) for message in messages]
    fields["messages"] = msgspec.Raw(b"[%b]" % b",".join([ours, *rest]))


def _before(text: str, message: msgspec.Raw, read: _Message) -> bytes:
    """Return the client's system message with a text of ours in front."""
    members = msgspec.json.decode(message, type=Fields)
    if isinstance(read.content, list):
        content = _encode([{"type": "text", "text": text}, *read.content])
    else:
        content = _encode("\n\n".join(filter(None, [text, read.content])))
    members["content"] = msgspec.Raw(content)
    return _encode(members)
