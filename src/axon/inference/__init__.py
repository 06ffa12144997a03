"""Jobs for engines: a queue towards them, a bus back, and workers that fail over in between."""

from axon.inference.directory import ModelDirectory
from axon.inference.engines import Engines
from axon.inference.errors import (
    InferenceError,
    ModelTableInvalid,
    QueueFull,
    TurnAlreadySubmitted,
    UnknownModel,
    UpstreamAddressInvalid,
)
from axon.inference.http.target import Proxies
from axon.inference.inference import Inference
from axon.inference.jobs import (
    FailureKind,
    Job,
    JobDone,
    JobFailed,
    JobOutput,
    SseBytes,
    Started,
    WholeBody,
)
from axon.inference.local_bus import LocalBus
from axon.inference.local_queue import LocalQueue
from axon.inference.models import Model, ModelTable, Upstream
from axon.inference.ports import (
    Bus,
    Consumer,
    Delivery,
    JobListener,
    JobQueue,
    JobStream,
    JobWriter,
)
from axon.inference.tokens import estimate_tokens
from axon.inference.worker import Worker

__all__ = [
    "Bus",
    "Consumer",
    "Delivery",
    "Engines",
    "FailureKind",
    "Inference",
    "InferenceError",
    "Job",
    "JobDone",
    "JobFailed",
    "JobListener",
    "JobOutput",
    "JobQueue",
    "JobStream",
    "JobWriter",
    "LocalBus",
    "LocalQueue",
    "Model",
    "ModelDirectory",
    "ModelTable",
    "ModelTableInvalid",
    "Proxies",
    "QueueFull",
    "SseBytes",
    "Started",
    "TurnAlreadySubmitted",
    "UnknownModel",
    "Upstream",
    "UpstreamAddressInvalid",
    "WholeBody",
    "Worker",
    "estimate_tokens",
]
