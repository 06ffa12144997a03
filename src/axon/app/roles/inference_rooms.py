"""The way of jobs to engines: a worker of this process, or a queue to workers of their own."""

from dataclasses import dataclass

from axon.app.models import model_table, proxies
from axon.app.roles.ground import Ground
from axon.app.settings import RetrievalSettings, SafetySettings, Settings
from axon.inference import (
    Dispatcher,
    DispatcherParts,
    Engines,
    Inference,
    LocalBus,
    LocalQueue,
    ModelTable,
    Moderator,
    ModeratorOptions,
    Near,
    Retriever,
    RetrieverOptions,
    Worker,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRooms:
    """The queue and the bus, and who stands at their other end: a worker, or the way to some."""

    models: ModelTable
    engines: Engines
    worker: Worker | Dispatcher
    inference: Inference
    retriever: Retriever | None
    """None where the settings name none."""
    moderator: Moderator | None
    """The same."""


def open_inference(settings: Settings, ground: Ground, instance: str) -> InferenceRooms:
    """Return the way for this `instance` of a journal, taking jobs from now on."""
    models = model_table(settings)
    engines = Engines(models.served(), ground.clock, proxies())
    apart = settings.workers.processes > 0
    queue, bus = LocalQueue(name="valkey" if apart else "in_process"), LocalBus(ground.clock)
    worker = Worker(queue, bus, engines, ground.clock)
    dispatcher = None
    if apart:
        dispatcher = Dispatcher(
            Near(queue=queue, bus=bus, worker=worker),
            DispatcherParts(
                url=settings.valkey.url,
                instance=instance,
                secret=ground.keyring.derive("bus"),
                clock=ground.clock,
                randomness=ground.randomness,
            ),
        )
        dispatcher.start(models.served())
    else:
        worker.serve(models.served())
    return InferenceRooms(
        models=models,
        engines=engines,
        worker=worker if dispatcher is None else dispatcher,  # an idle one has a length of 0
        inference=Inference(queue, bus, engines, dispatcher),
        retriever=_retriever(settings.retrieval, ground),
        moderator=_moderator(settings.safety, ground),
    )


def _moderator(settings: SafetySettings, ground: Ground) -> Moderator | None:
    if not settings.url:
        return None
    options = ModeratorOptions(
        url=settings.url,
        key=settings.key,
        model=settings.model,
        timeout_ms=settings.timeout_ms,
    )
    return Moderator(options, proxies(), ground.clock)


def _retriever(settings: RetrievalSettings, ground: Ground) -> Retriever | None:
    if not settings.url:
        return None
    options = RetrieverOptions(
        url=settings.url,
        key=settings.key,
        timeout_ms=settings.timeout_ms,
        passages_max=settings.passages_max,
        bytes_max=settings.bytes_max,
    )
    return Retriever(options, proxies(), ground.clock)
