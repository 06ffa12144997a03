"""The settings of the usage stream: which Kafka, and how it is entered."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class UsageStreamSettings(Struct, frozen=True, kw_only=True):
    """What turns consume and cost, as CloudEvents to Kafka; needs the extra `axon[kafka]`."""

    brokers: Annotated[
        str,
        Meta(description="`host:port` of one or more brokers, by commas. Empty: no stream."),
    ] = ""
    topic: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9._-]{1,249}$",
            extra={"form": "1 to 249 of letters, digits, '.', '_' and '-'"},
            description="The topic; messages are keyed by organization.",
        ),
    ] = "axon.usage"
    source: Annotated[
        str,
        Meta(description="The events' `source`; empty: `axon/` and a mark of this installation."),
    ] = ""
    security: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"],
        Meta(description="How the brokers are reached: with TLS or not, with a login or not."),
    ] = "plaintext"
    ca_path: Annotated[
        str, Meta(description="PEM file of the authorities they are trusted by; empty: the usual.")
    ] = ""
    certificate_path: Annotated[
        str, Meta(description="PEM file of a client certificate; empty: none.")
    ] = ""
    certificate_key_path: Annotated[str, Meta(description="PEM file of its private key.")] = ""
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Meta(description="How to log in.")
    ] = "SCRAM-SHA-512"
    user: Annotated[str, Meta(description="The name to log in with.")] = ""
    password: Annotated[str, Meta(description="Its password.")] = ""
    delivery_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=300,
            description="How long the brokers may take to acknowledge; then it is tried again.",
        ),
    ] = 30.0
