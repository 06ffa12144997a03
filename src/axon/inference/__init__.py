"""Jobs for engines: a queue towards them, a bus back, and workers that fail over in between."""

from axon.inference.broker.dispatcher import Dispatcher, DispatcherParts, Near
from axon.inference.broker.pace import Pace
from axon.inference.broker.worker_process import WorkerParts, WorkerProcess
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
from axon.inference.models import WILDCARD_LANE, Model, ModelTable, Upstream
from axon.inference.moderation import Moderated, Moderator, ModeratorOptions
from axon.inference.ports import (
    Bus,
    Consumer,
    Delivery,
    JobListener,
    JobQueue,
    JobSource,
    JobStream,
    JobWriter,
    JobWriters,
    Reply,
)
from axon.inference.retriever import Found, Passage, Retriever, RetrieverOptions
from axon.inference.tokens import estimate_tokens
from axon.inference.worker import Worker

__all__ = [
    "WILDCARD_LANE",
    "Bus",
    "Consumer",
    "Delivery",
    "Dispatcher",
    "DispatcherParts",
    "Engines",
    "FailureKind",
    "Found",
    "Inference",
    "InferenceError",
    "Job",
    "JobDone",
    "JobFailed",
    "JobListener",
    "JobOutput",
    "JobQueue",
    "JobSource",
    "JobStream",
    "JobWriter",
    "JobWriters",
    "LocalBus",
    "LocalQueue",
    "Model",
    "ModelDirectory",
    "ModelTable",
    "ModelTableInvalid",
    "Moderated",
    "Moderator",
    "ModeratorOptions",
    "Near",
    "Pace",
    "Passage",
    "Proxies",
    "QueueFull",
    "Reply",
    "Retriever",
    "RetrieverOptions",
    "SseBytes",
    "Started",
    "TurnAlreadySubmitted",
    "UnknownModel",
    "Upstream",
    "UpstreamAddressInvalid",
    "WholeBody",
    "Worker",
    "WorkerParts",
    "WorkerProcess",
    "estimate_tokens",
]
