"""Which models there are, and which upstreams serve them."""

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from axon.inference.errors import ModelTableInvalid, UnknownModel

WILDCARD_LANE = "*"
"""The queue lane shared by all models that only the wildcard knows; never an alias."""

WILDCARD_MODELS_MAX = 1024
"""Models resolved through the wildcard that are remembered; the oldest is forgotten."""

MODEL_NAME_CHARS_MAX = 256
"""A longer name is not a model's; it would only fill the memory of the wildcard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One engine's address and how to treat it.

    The `name` is the engine's identity: models that name the same upstream share its slots,
    breaker and connections, and may differ only in `model`, `weight` and `order`.
    """

    name: str
    base_url: str
    """http or https. A bare origin gets /v1 appended; any other path is used as it stands."""
    model: str
    """What the upstream calls the model."""
    key: str = ""
    """Sent as `authorization: Bearer`; empty sends none."""
    weight: int = 1
    """Share of the jobs among upstreams of the same order, at least 1."""
    order: int = 0
    """A higher order is used only when every upstream of the lower ones has failed."""
    slots: int = 256
    """Jobs it runs at once; a full upstream is waited for, not failed over."""
    connect_timeout_ms: int = 2_000
    first_token_timeout_s: float = 120.0
    """From the request to the first byte of a streamed answer's body. An unstreamed answer comes
    all at once, when it is complete: only the total time bounds it."""
    idle_timeout_s: float = 60.0
    """Between two reads of a running answer."""
    total_timeout_s: float = 600.0
    always_stream: bool = False
    """Ask it for streams only, whatever the client asked for: some engines, llama.cpp among them,
    notice a cancelled request only while streaming."""
    metrics: bool = False
    """Whether the engine tells of itself at `/metrics`, as vLLM and llama.cpp do."""
    ca_path: str = ""
    """PEM file of the authorities trusted for this upstream; empty: those of the system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name clients use, its limits, and the upstreams that serve it (at least one)."""

    alias: str
    context_window: int
    """Model tokens of input and output together."""
    output_tokens_max: int
    """Longest answer when the client sets no bound; 0: the engine decides."""
    upstreams: tuple[Upstream, ...]
    lane: str = ""
    """The queue lane its jobs wait in: its own, named by the alias, unless another is given."""
    always_streams: bool = field(init=False)
    """Whether any of its upstreams is to be asked for a stream whatever the client wants."""

    def __post_init__(self) -> None:
        if not self.lane:
            object.__setattr__(self, "lane", self.alias)
        always = any(upstream.always_stream for upstream in self.upstreams)
        object.__setattr__(self, "always_streams", always)


class ModelTable:
    """All models by alias, and optionally a wildcard that passes any other name to its upstream."""

    def __init__(self, models: tuple[Model, ...], wildcard: Model | None = None) -> None:
        """Raise ModelTableInvalid when names are repeated or one upstream is described twice."""
        self._models = {model.alias: model for model in models}
        self._wildcard = replace(wildcard, lane=WILDCARD_LANE) if wildcard else None
        self._passed = OrderedDict[str, Model]()
        if len(self._models) != len(models):
            raise ModelTableInvalid("two models have one alias")
        if WILDCARD_LANE in self._models:
            raise ModelTableInvalid(f"{WILDCARD_LANE} is not an alias")
        _check(self.served())

    @property
    def wildcard(self) -> Model | None:
        """Return the model that stands for any other name, or None."""
        return self._wildcard

    def served(self) -> tuple[Model, ...]:
        """Return every model a worker must serve, the wildcard last."""
        known = tuple(self._models.values())
        return (*known, self._wildcard) if self._wildcard else known

    def list(self) -> tuple[Model, ...]:
        """Return the models that have an alias of their own, in the order of the table."""
        return tuple(self._models.values())

    def resolve(self, name: str) -> Model:
        """Return the model a client means by `name`; raise UnknownModel."""
        return self._models.get(name) or self._passed.get(name) or self._pass_on(name)

    def _pass_on(self, name: str) -> Model:
        usable = 0 < len(name) <= MODEL_NAME_CHARS_MAX and name.isprintable()
        if self._wildcard is None or not usable:
            raise UnknownModel(name[:MODEL_NAME_CHARS_MAX])
        upstreams = tuple(replace(up, model=name) for up in self._wildcard.upstreams)
        model = replace(self._wildcard, alias=name, upstreams=upstreams)
        self._passed[name] = model
        if len(self._passed) > WILDCARD_MODELS_MAX:
            self._passed.popitem(last=False)
        return model


def _check(models: tuple[Model, ...]) -> None:
    engines: dict[str, Upstream] = {}
    for model in models:
        if not model.upstreams:
            raise ModelTableInvalid(f"{model.alias} has no upstream")
        if len({upstream.name for upstream in model.upstreams}) != len(model.upstreams):
            raise ModelTableInvalid(f"{model.alias} names one upstream twice")
        for upstream in model.upstreams:
            if upstream.weight < 1 or upstream.slots < 1:
                raise ModelTableInvalid(f"{upstream.name}: weight and slots are at least 1")
            engine = replace(upstream, model="", weight=1, order=0)
            if engines.setdefault(upstream.name, engine) != engine:
                raise ModelTableInvalid(f"{upstream.name} is described in two ways")
