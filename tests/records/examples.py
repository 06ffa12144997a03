"""One example of every record version, every field set to something of its own.

Run this file to write the golden files that are missing; one that exists is never written again,
because journals full of its shape are out there. `6.2.bin` is the second shape of kind 6, to which
fields were added; a record changed in any other way is a new class, a new kind and a new example.
"""

from pathlib import Path

from axon.records import (
    AccessLogged,
    AdminAction,
    Assignment,
    Charge,
    ConversationChanged,
    EventsReceived,
    ExperimentChanged,
    FeedbackGiven,
    FlagChange,
    FlagsChanged,
    FlagSchedule,
    Hold,
    ItemsAppended,
    OutsideEvent,
    Record,
    Retrieval,
    SealedItem,
    SubjectErased,
    TokenUsage,
    TrainingConsent,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    TurnInterrupted,
    TurnProgress,
    TurnTimes,
    Verdict,
    encode,
)

GOLDEN = Path(__file__).parent / "golden"

ITEM = SealedItem(
    item_id="msg_01", kind="message", author="user", model_tokens=7, blob=b"\x00sealed\xff"
)
CALL = SealedItem(
    item_id="fc_02", kind="function_call", author="", model_tokens=300, blob=b"\x01" * 40
)
HEAD = TurnHead(
    turn_id="resp_03",
    org_id="org_04",
    user=2**63 - 1,
    credential_id="key_05",
    conversation_id="conv_06",
    sequence=8,
    fence=9,
    surface="responses",
    model="small",
    accepted_us=1_790_000_000_000_010,
    implicit=True,
    stored=False,
    metadata={"topic": "größe"},
    follows="resp_42",
    without_history=True,
    holds=[Hold("rule_44/EUR/user_45", "money", "month", 1_790_000_000_000_046, 47, "EUR", 48, 49)],
    variant_model="large",
    safety="strict",
    retrieval=Retrieval("found", 63, 64),
    trace=b"\x10" * 25,
    region="EU",
    tier="pro",
    ours=True,
)
USAGE = TokenUsage(
    input_tokens=11,
    cached_tokens=12,
    output_tokens=13,
    reasoning_tokens=14,
    estimated=True,
    cache_write_tokens=43,
)
TIMES = TurnTimes(71, 72, 73, 74, 75, 76, 77)
CHARGE = Charge(price_id="price_44", currency="USD", cost_nano=45, overage_nano=50)
VERDICT = Verdict("output", "rules 1", "flagged", ["hate"])
ASSIGNMENT = Assignment(
    flag="tone",
    variant="warm",
    reason="SPLIT",
    definition_version=15,
    bucketing_version=16,
    unit="subject",
    definition="0123456789abcdef",
    placed_as=68,
)

EXAMPLES: dict[int, Record] = {
    1: TurnAccepted(
        head=HEAD,
        request=b"\x02request",
        input=[ITEM, CALL],
        streamed=True,
        background=False,
        input_tokens_reserved=17,
        output_tokens_reserved=18,
        idempotency_mac=b"\x03" * 32,
        body_mac=b"\x04" * 32,
        attempt=2,
        assignments=[ASSIGNMENT],
        cost_reserved_nano=48,
        summary=b"\x0esummary",
        steering=b"\x0fsteering",
        verdicts=[VERDICT],
    ),
    2: TurnProgress(head=HEAD, output=[CALL], output_tokens=19, events=b"\x06events", number=41),
    3: TurnCompleted(
        head=HEAD,
        input=[ITEM],
        output=[CALL],
        answer=b"\x05answer",
        status="completed",
        usage=USAGE,
        upstream="vllm-1",
        upstream_id="chatcmpl-20",
        completed_us=1_790_000_000_000_021,
        first_token_us=1_790_000_000_000_022,
        assignments=[ASSIGNMENT],
        events=b"\x07events",
        charge=CHARGE,
        times=TIMES,
        refused=True,
        verdicts=[VERDICT],
    ),
    4: TurnInterrupted(
        head=HEAD,
        input=[],
        output=[],
        answer=b"",
        status="failed",
        reason="upstream_error",
        usage=USAGE,
        upstream="vllm-2",
        upstream_id="",
        completed_us=1_790_000_000_000_023,
        first_token_us=0,
        assignments=[],
        events=b"\x08events",
        charge=CHARGE,
        times=TIMES,
        verdicts=[VERDICT],
    ),
    5: ItemsAppended(
        change_id="chg_24",
        org_id="org_04",
        user=25,
        credential_id="key_05",
        conversation_id="conv_06",
        sequence=26,
        fence=27,
        at_us=1_790_000_000_000_028,
        items=[ITEM, CALL],
        idempotency_mac=b"\x09" * 16,
        body_mac=b"\x0a" * 16,
    ),
    6: ConversationChanged(
        change_id="chg_29",
        org_id="org_04",
        user=30,
        credential_id="key_05",
        conversation_id="conv_06",
        sequence=31,
        fence=32,
        at_us=1_790_000_000_000_033,
        change="created",
        metadata={"topic": "größe", "empty": ""},
        item_id="msg_34",
        items=[ITEM],
        title=b"\x0btitle",
        also=["renamed"],
        forked_conversation_id="conv_38",
        forked_item_id="msg_39",
        origin_id="resp_40",
        idempotency_mac=b"\x0c" * 16,
        body_mac=b"\x0d" * 16,
    ),
    7: SubjectErased(
        change_id="chg_35",
        org_id="org_04",
        user=36,
        credential_id="key_05",
        at_us=1_790_000_000_000_037,
        reason="asked to be forgotten",
    ),
    8: EventsReceived(
        batch_id="evb_48",
        org_id="org_04",
        user=49,
        credential_id="key_05",
        received_us=1_790_000_000_000_050,
        events=[
            OutsideEvent(
                source="svc/größe",
                id="51",
                type="prompt",
                subject="customer-52",
                time_us=1_790_000_000_000_053,
                data=b'{"tokens":54}',
                late=True,
            )
        ],
    ),
    9: FlagsChanged(
        change_id="flc_55",
        number=56,
        org_id="org_04",
        user=57,
        credential_id="key_05",
        at_us=1_790_000_000_000_058,
        origin="api",
        why="größer",
        changes=[FlagChange("tone", 59, "edited", b'{"state":"DISABLED"}', b'{"state":"ENABLED"}')],
        scheduled=[FlagSchedule("fls_60", 1_790_000_000_000_061, b'{"tone":null}')],
        ended=["fls_62"],
    ),
    10: ExperimentChanged(
        change_id="exc_64",
        name="warmer-words",
        version=65,
        action="started",
        org_id="org_04",
        user=66,
        credential_id="key_05",
        at_us=1_790_000_000_000_067,
        why="größer",
        before=b'{"state":"draft"}',
        after=b'{"state":"running"}',
    ),
    12: FeedbackGiven(
        feedback_id="fdb_63",
        org_id="org_04",
        user=64,
        credential_id="key_05",
        turn_id="resp_65",
        at_us=1_790_000_000_000_066,
        rating="down",
        comment=b"\x0ecomment",
        edited=b"\x0fedited",
        preferred_over="resp_67",
        withdrawn=False,
    ),
    13: AccessLogged(
        access_id="acc_68",
        org_id="org_04",
        user=69,
        credential_id="key_05",
        at_us=1_790_000_000_000_070,
        action="read",
        subject=71,
        objects=["resp_72"],
        reason="eine Beschwerde prüfen",
    ),
    11: AdminAction(
        deed_id="deed_73",
        org_id="org_04",
        at_us=1_790_000_000_000_074,
        action="key.revoked",
        object="key_75",
        was='{"revoked_us": 0}',
        became='{"revoked_us": 76}',
        origin="command",
        name="größe",
        place="host_77",
        actor_org_id="org_78",
        user=79,
        credential_id="key_80",
    ),
    14: TrainingConsent(org_id="org_04", user=81, consent="opted_in", at_us=1_790_000_000_000_082),
}


def golden_files(kind: int) -> list[Path]:
    """Return the files of the kind's shapes, the newest last."""
    later = sorted(GOLDEN.glob(f"{kind}.*.bin"), key=lambda path: int(path.name.split(".")[1]))
    return [path for path in (GOLDEN / f"{kind}.bin", *later) if path.exists()]


def write_missing() -> None:
    """Write each example whose bytes no file holds, as the next shape of its kind."""
    GOLDEN.mkdir(exist_ok=True)
    for kind, record in EXAMPLES.items():
        written_kind, payload = encode(record)
        assert written_kind == kind
        there = golden_files(kind)
        if not there or there[-1].read_bytes() != payload:
            name = f"{kind}.{len(there) + 1}.bin" if there else f"{kind}.bin"
            (GOLDEN / name).write_bytes(payload)


if __name__ == "__main__":
    write_missing()
