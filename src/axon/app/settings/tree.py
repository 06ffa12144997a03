"""Every setting, with its type, range, default and meaning; docs/settings.md is made from this."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from axon.app.settings.alerts import AlertsSettings
from axon.app.settings.archive import ArchiveSettings
from axon.app.settings.audit import AuditSettings
from axon.app.settings.flags import FlagsSettings, origins_of
from axon.app.settings.keys import KeysSettings
from axon.app.settings.metering import MeteringSettings
from axon.app.settings.privacy import PrivacySettings
from axon.app.settings.residency import ResidencySettings
from axon.app.settings.retrieval import RetrievalSettings
from axon.app.settings.safety import SafetySettings
from axon.app.settings.scheduler import SchedulerSettings
from axon.app.settings.traces import TracesSettings
from axon.app.settings.turns import ConversationsSettings, TurnsSettings
from axon.app.settings.upstreams import EngineSettings, ModelSettings, WildcardSettings
from axon.app.settings.usage_stream import UsageStreamSettings
from axon.base import GIB, KIB, MIB

_POSTGRES = {"form": "an address like postgresql://user:password@host:5432/name"}
_VALKEY = {"form": "an address like redis://, rediss:// or unix:///path"}


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Where Axon listens, and what it accepts."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    ] = 8080
    tls_cert: Annotated[
        str,
        Meta(
            description="The file of the certificate and those that signed it, in PEM form; then "
            "Axon speaks TLS 1.3 and nothing else. A renewed file is used within seconds. Empty: "
            "plain HTTP."
        ),
    ] = ""
    tls_key: Annotated[str, Meta(description="The file of the certificate's key, unencrypted.")] = (
        ""
    )
    origins: Annotated[
        str,
        Meta(
            description="Web pages whose scripts may ask at `/v1`, by commas, like "
            "`https://app.example.com`; `*` for all. Empty: none. They are to have a person's "
            "pass: a key in a page is everybody's."
        ),
    ] = ""
    fd: Annotated[
        int,
        Meta(ge=-1, description="An inherited listening socket to use instead; `axon up` sets it."),
    ] = -1
    processes: Annotated[
        int,
        Meta(
            ge=1,
            le=16,
            description="Serving processes behind the one address; each owns the conversations "
            "it created and is handed what concerns them.",
        ),
    ] = 1
    place: Annotated[
        int,
        Meta(ge=1, description="Which of them this process is, from 1; `axon up` sets it."),
    ] = 1
    private_fd: Annotated[
        int,
        Meta(
            ge=-1,
            description="An inherited listening unix socket on which this process's siblings "
            "reach it; `axon up` sets it.",
        ),
    ] = -1
    body_bytes_max: Annotated[
        int, Meta(ge=KIB, le=GIB, description="Longest request body; a longer one is a 413.")
    ] = 8 * MIB
    connections_max: Annotated[
        int,
        Meta(
            ge=1,
            description="Open connections of one process. One more takes the place of the one "
            "that has been idle for longest, or gets a 503; it may always ask for `/healthz`, "
            "`/readyz`, `/status` and `/metrics`. At most half of the open files the system "
            "allows.",
        ),
    ] = 4096
    bodies_bytes_max: Annotated[
        int,
        Meta(
            ge=MIB,
            description="All bodies of requests that are being answered; what would pass it is a "
            "503.",
        ),
    ] = 512 * MIB
    head_s: Annotated[
        float,
        Meta(gt=0, description="How long the headers of a request may take to arrive; then 408."),
    ] = 10.0
    body_s: Annotated[
        float,
        Meta(
            gt=0,
            description="How long a body may take to arrive, beside a second for each 4 KiB of "
            "it; then 408.",
        ),
    ] = 20.0
    slow_client_s: Annotated[
        float,
        Meta(gt=0, description="How long a piece of a stream may wait for its client to read."),
    ] = 30.0
    drain_s: Annotated[
        float,
        Meta(ge=0, description="After SIGTERM, how long running turns may take to finish."),
    ] = 30.0

    def allowed_origins(self) -> frozenset[str]:
        """Return the origins, each as a browser names it."""
        return origins_of(self.origins)


class DatabaseSettings(Struct, frozen=True, kw_only=True):
    """PostgreSQL."""

    url: Annotated[
        str,
        Meta(
            pattern="^(postgres(ql)?://.*)?$",
            extra=_POSTGRES,
            description="`postgresql://user:password@host/name?sslmode=verify-full`. Empty: "
            "`axon up` starts an embedded PostgreSQL in the data folder.",
        ),
    ] = ""
    connections_max: Annotated[
        int, Meta(ge=2, le=1000, description="Connections one process may hold.")
    ] = 10
    timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="Longest wait for a connection or a statement.")
    ] = 5.0


class ValkeySettings(Struct, frozen=True, kw_only=True):
    """Valkey: leases and the windows of recent conversations; disposable."""

    url: Annotated[
        str,
        Meta(
            pattern="^((redis|rediss|unix)://.*)?$",
            extra=_VALKEY,
            description="`redis://`, `rediss://` or `unix://`. Empty: `axon up` starts an "
            "embedded Valkey.",
        ),
    ] = ""
    timeout_ms: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Longest wait for an answer; then PostgreSQL is asked."),
    ] = 50
    memory_mb: Annotated[int, Meta(ge=16, description="Memory of the embedded Valkey.")] = 256


class WorkersSettings(Struct, frozen=True, kw_only=True):
    """Who drives the engines."""

    processes: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Worker processes `axon up` starts, reached through Valkey, each with all "
            "slots of every upstream. 0: the serving processes do their work. `axon serve "
            "--role gateway` counts on some whatever this says.",
        ),
    ] = 0


class JournalSettings(Struct, frozen=True, kw_only=True):
    """The write-ahead log that makes an acknowledgement true."""

    segment_bytes: Annotated[
        int, Meta(ge=64 * KIB, le=4 * GIB, description="Size at which a new file is begun.")
    ] = 64 * MIB
    queue_entries_max: Annotated[
        int, Meta(ge=1, description="Entries that may wait for the disk; then turns get a 503.")
    ] = 16_384
    queue_bytes_max: Annotated[
        int, Meta(ge=MIB, description="Bytes that may wait for the disk.")
    ] = 64 * MIB
    entry_bytes_max: Annotated[
        int, Meta(ge=64 * KIB, le=16 * MIB, description="Longest entry: one whole turn.")
    ] = 16 * MIB
    retention_s: Annotated[
        int,
        Meta(ge=0, description="How long projected segments are kept, for replay after a restore."),
    ] = 86_400
    reserve_bytes: Annotated[
        int, Meta(ge=0, description="Space held back, so that accepted turns can still end.")
    ] = 16 * MIB
    low_water_bytes: Annotated[
        int, Meta(ge=0, description="Free space under which no new turn is accepted.")
    ] = 64 * MIB


class AccountsSettings(Struct, frozen=True, kw_only=True):
    """API keys, and how long they are believed while PostgreSQL is away."""

    poll_every_ms: Annotated[
        int, Meta(ge=10, le=900, description="How often revocations are looked for.")
    ] = 400
    staleness_max_s: Annotated[
        int,
        Meta(ge=1, description="How long known keys are accepted while PostgreSQL is away."),
    ] = 86_400
    cache_max: Annotated[int, Meta(ge=1, description="Keys remembered by one process.")] = 100_000
    key_lifetime_days: Annotated[
        int,
        Meta(
            ge=0, le=36_500,
            description="How long a new key lives unless `--expires` says it; 0: until revoked.",
        ),
    ] = 365  # fmt: skip


class LogSettings(Struct, frozen=True, kw_only=True):
    """Log lines, one JSON object each."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important kept.")
    ] = "info"


class BillingSettings(Struct, frozen=True, kw_only=True):
    """Invoices."""

    issuer: Annotated[
        str, Meta(min_length=1, max_length=200, description="Who issues them, as they say it.")
    ] = "Axon"


class StripeSettings(Struct, frozen=True, kw_only=True):
    """Stripe, which is told what organizations' hours cost; the extra `axon[stripe]`."""

    key: Annotated[str, Meta(description="The secret or restricted key. Empty: no Stripe.")] = ""
    base_url: Annotated[str, Meta(description="Stands in for https://api.stripe.com.")] = ""
    webhook_secret: Annotated[
        str,
        Meta(
            description="Signs what Stripe sends to `/v1/stripe/events` (`whsec_...`). Empty: "
            "nothing is taken there."
        ),
    ] = ""
    collection: Annotated[
        Literal["send_invoice", "charge_automatically"],
        Meta(description="How Stripe asks for an invoice's total."),
    ] = "send_invoice"
    days_until_due: Annotated[
        int, Meta(ge=0, le=365, description="How long one that is sent may stay unpaid.")
    ] = 30


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set."""

    data: Annotated[
        str, Meta(min_length=1, description="Folder of the journal, keys and embedded servers.")
    ] = ".axon"
    instance: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9-]{1,32}$",
            extra={"form": "1 to 32 of a-z, 0-9 and -"},
            description="Names the journal; processes that share a data folder need different "
            "names, or one name and different places (`http.place`).",
        ),
    ] = "serving"
    http: HttpSettings = HttpSettings()
    database: DatabaseSettings = DatabaseSettings()
    valkey: ValkeySettings = ValkeySettings()
    workers: WorkersSettings = WorkersSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    journal: JournalSettings = JournalSettings()
    accounts: AccountsSettings = AccountsSettings()
    keys: KeysSettings = KeysSettings()
    conversations: ConversationsSettings = ConversationsSettings()
    turns: TurnsSettings = TurnsSettings()
    billing: BillingSettings = BillingSettings()
    stripe: StripeSettings = StripeSettings()
    models: Annotated[
        dict[str, ModelSettings], Meta(description="The models clients may ask for.")
    ] = {}
    upstream: WildcardSettings = WildcardSettings()
    engine: EngineSettings = EngineSettings()
    metering: MeteringSettings = MeteringSettings()
    usage_stream: UsageStreamSettings = UsageStreamSettings()
    alerts: AlertsSettings = AlertsSettings()
    flags: FlagsSettings = FlagsSettings()
    audit: AuditSettings = AuditSettings()
    archive: ArchiveSettings = ArchiveSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    residency: ResidencySettings = ResidencySettings()
    privacy: PrivacySettings = PrivacySettings()
    safety: SafetySettings = SafetySettings()
    log: LogSettings = LogSettings()
    traces: TracesSettings = TracesSettings()
