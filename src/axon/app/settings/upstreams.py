"""The settings of what answers: upstreams, the models they serve, and the embedded engine."""

from typing import Annotated

from msgspec import Meta, Struct

_HTTP = {"form": "an address like https://host:port/v1"}


class UpstreamSettings(Struct, frozen=True, kw_only=True):
    """One OpenAI-compatible endpoint that serves a model."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            extra={"form": "a name of at least one character"},
            description="Its identity, in logs and metrics too: models that name the same "
            "upstream share its slots and connections.",
        ),
    ]
    base_url: Annotated[
        str,
        Meta(pattern="^https?://.", extra=_HTTP, description="Its address, with `/v1`."),
    ]
    key: Annotated[str, Meta(description="The API key it wants.")] = ""
    model: Annotated[str, Meta(description="The model's name there; empty: the alias.")] = ""
    weight: Annotated[int, Meta(ge=1, description="Its share among upstreams of one order.")] = 1
    order: Annotated[int, Meta(ge=0, description="Lower orders are tried first.")] = 0
    connect_timeout_ms: Annotated[int, Meta(ge=1, description="Longest wait to connect.")] = 2_000
    first_token_timeout_s: Annotated[
        float, Meta(gt=0, description="Longest wait for the first byte of a streamed answer.")
    ] = 120.0
    idle_timeout_s: Annotated[
        float, Meta(gt=0, description="Longest pause within a running answer.")
    ] = 60.0
    total_timeout_s: Annotated[float, Meta(gt=0, description="Longest answer.")] = 600.0
    slots: Annotated[int, Meta(ge=1, description="Turns it is given at the same time.")] = 64
    always_stream: Annotated[
        bool,
        Meta(
            description="Ask for a stream even when the client did not, as llama.cpp needs it "
            "to notice that a turn was cancelled."
        ),
    ] = False
    metrics: Annotated[
        bool,
        Meta(
            description="Read its `/metrics`, as vLLM has them (and llama.cpp, with `--metrics`), "
            "and show them as `axon_engine_*`."
        ),
    ] = False
    ca_path: Annotated[
        str, Meta(description="PEM file of the authorities it is trusted by; empty: the system's.")
    ] = ""


class ModelSettings(Struct, frozen=True, kw_only=True):
    """One model name that clients may ask for."""

    upstreams: Annotated[
        tuple[UpstreamSettings, ...],
        Meta(min_length=1, description="Who serves it, as `[[models.NAME.upstreams]]`."),
    ]
    context_window: Annotated[int, Meta(ge=256, description="Model tokens it can see.")] = 32_768
    output_tokens_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Longest answer, in model tokens, when the client sets no bound; 0: the "
            "engine decides, and a quarter of the window is kept free for the answer.",
        ),
    ] = 0


class WildcardSettings(Struct, frozen=True, kw_only=True):
    """An endpoint that gets every model name not listed under `models`; `axon up --upstream`."""

    url: Annotated[
        str,
        Meta(
            pattern="^(https?://.*)?$",
            extra=_HTTP,
            description="Its address, with `/v1`; empty: none.",
        ),
    ] = ""
    key: Annotated[str, Meta(description="The API key it wants.")] = ""
    context_window: Annotated[int, Meta(ge=256, description="Model tokens assumed.")] = 32_768
    output_tokens_max: Annotated[
        int, Meta(ge=0, description="Longest answer when the client sets no bound; 0: no bound.")
    ] = 0
    slots: Annotated[int, Meta(ge=1, description="Turns it is given at the same time.")] = 256


class EngineSettings(Struct, frozen=True, kw_only=True):
    """The embedded engine of `axon up`: llama.cpp with a small model."""

    url: Annotated[
        str,
        Meta(
            pattern="^(https?://.*)?$",
            extra=_HTTP,
            description="Its address with `/v1`; `axon up` sets it for the processes it starts.",
        ),
    ] = ""
    alias: Annotated[str, Meta(min_length=1, description="The model's name for clients.")] = (
        "smollm2"
    )
    model_path: Annotated[
        str, Meta(description="A GGUF file; empty: SmolLM2-135M, fetched once.")
    ] = ""
    threads: Annotated[
        int, Meta(ge=0, le=512, description="Threads it computes with; 0: one for each core.")
    ] = 0
    slots: Annotated[int, Meta(ge=1, le=256, description="Turns it works on at once.")] = 4
    context_window: Annotated[
        int, Meta(ge=256, description="Model tokens each slot can see; they cost memory.")
    ] = 4_096
    output_tokens_max: Annotated[
        int, Meta(ge=0, description="Longest answer when the client sets no bound; 0: no bound.")
    ] = 1_024
