"""Which route answers a request: by method and path, and what the reference pages say of each."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import NamedTuple

from axon.gateway import (
    alerts,
    audit,
    chat,
    compaction,
    completions,
    conversation_events,
    conversation_fork,
    conversation_list,
    conversation_regenerate,
    conversation_search,
    conversation_title,
    conversations,
    earlier_tries,
    embeddings,
    entitlements,
    experiments,
    feedback,
    flags,
    invoices,
    limits,
    meters,
    models,
    ofrep,
    operation,
    outside_events,
    passes,
    prices,
    response_items,
    responses,
    sibling,
    stored_chat,
    stored_responses,
    stripe_events,
    subjects,
    sync,
    tiers,
    training,
    usage,
)
from axon.gateway.access import MONITOR
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.openapi import RouteShown, openapi_json
from axon.gateway.operation import Operation
from axon.gateway.relay import Relay
from axon.gateway.who_may import SIGNED, Route, access_to

InternalRoute = Callable[[Door, bytes], Awaitable[bytes]]

_FIXED: dict[tuple[str, str], Route] = {
    ("POST", "/v1/chat/completions"): chat.create_completion,
    ("POST", "/v1/responses"): responses.create_response,
    ("POST", "/v1/conversations"): conversations.create_conversation,
    ("GET", "/v1/conversations"): conversation_list.list_conversations,
    ("GET", "/v1/conversations/search"): conversation_search.search_conversations,
    ("GET", "/v1/sync"): sync.sync,
    ("GET", "/v1/chat/completions"): stored_chat.list_completions,
    ("POST", "/v1/responses/input_tokens"): response_items.count_input_tokens,
    ("POST", "/v1/responses/compact"): compaction.compact_input,
    ("POST", "/v1/embeddings"): embeddings.create_embeddings,
    ("POST", "/v1/completions"): completions.create_completion,
    ("GET", "/v1/models"): models.list_models,
    ("POST", "/v1/user_passes"): passes.create_pass,
    ("GET", "/v1/usage"): usage.own_usage,
    ("GET", "/v1/organization/usage/completions"): usage.completions_usage,
    ("GET", "/v1/organization/costs"): usage.costs,
    ("GET", "/v1/invoices"): invoices.list_invoices,
    ("GET", "/v1/alerts"): alerts.list_alerts,
    ("GET", "/v1/webhooks"): alerts.list_webhooks,
    ("POST", "/v1/webhooks"): alerts.add_webhook,
    ("GET", "/v1/limits"): limits.get_limits,
    ("GET", "/v1/limit_rules"): limits.list_rules,
    ("POST", "/v1/limit_rules"): limits.set_rule,
    ("GET", "/v1/flags"): flags.list_flags,
    ("POST", "/v1/flags"): flags.change_flags,
    ("GET", "/v1/experiments"): experiments.list_experiments,
    ("POST", "/ofrep/v1/evaluate/flags"): ofrep.evaluate_flags,
    ("GET", ofrep.EVENTS_PATH): ofrep.follow_changes,
    ("GET", "/v1/tiers"): tiers.list_tiers,
    ("GET", "/v1/prices"): prices.list_prices,
    ("POST", "/v1/prices"): prices.set_price,
    ("POST", "/v1/feedback"): feedback.give_feedback,
    ("GET", "/v1/feedback"): feedback.list_feedback,
    ("GET", "/v1/audit/turns"): audit.search_turns,
    ("GET", "/v1/audit/log"): audit.list_accesses,
    ("GET", "/v1/audit/requests"): audit.list_requests,
    ("POST", "/v1/audit/requests"): audit.request_reading,
    ("GET", "/v1/audit/holds"): audit.list_holds,
    ("POST", "/v1/audit/holds"): audit.set_hold,
    ("POST", "/v1/privacy/erase"): subjects.erase_person,
    ("POST", "/v1/privacy/export"): subjects.export_person,
    ("GET", "/v1/privacy/receipts"): subjects.list_receipts,
    ("GET", "/v1/training/policy"): training.get_policy,
    ("PUT", "/v1/training/policy"): training.set_policy,
    ("GET", "/v1/training/consent"): training.get_consent,
    ("PUT", "/v1/training/consent"): training.say_consent,
    ("POST", "/v1/training/export"): training.export_examples,
    ("POST", "/v1/stripe/events"): stripe_events.take_event,
    ("POST", "/api/v1/events"): outside_events.send_events,
    ("GET", "/api/v1/meters"): meters.list_meters,
}
"""Routes without a variable part, the hot ones first."""

_WITH_IDS: dict[tuple[str, str, int], Route] = {
    ("GET", "chat completions", 1): stored_chat.get_completion,
    ("POST", "chat completions", 1): stored_chat.update_completion,
    ("DELETE", "chat completions", 1): stored_chat.delete_completion,
    ("GET", "chat completions/messages", 1): stored_chat.list_messages,
    ("GET", "responses", 1): stored_responses.get_response,
    ("DELETE", "responses", 1): stored_responses.delete_response,
    ("POST", "responses/cancel", 1): stored_responses.cancel_response,
    ("GET", "responses/input_items", 1): response_items.list_input_items,
    ("GET", "conversations/events", 1): conversation_events.follow_conversation,
    ("POST", "conversations/fork", 1): conversation_fork.fork_conversation,
    ("POST", "conversations/title", 1): conversation_title.make_title,
    ("POST", "conversations/regenerate", 1): conversation_regenerate.regenerate,
    ("GET", "conversations", 1): conversations.get_conversation,
    ("POST", "conversations", 1): conversations.update_conversation,
    ("DELETE", "conversations", 1): conversations.delete_conversation,
    ("POST", "conversations/items", 1): conversations.create_items,
    ("GET", "conversations/items", 1): conversations.list_items,
    ("GET", "conversations/items", 2): conversations.get_item,
    ("GET", "invoices", 1): invoices.get_invoice,
    ("GET", "alerts/deliveries", 1): alerts.list_deliveries,
    ("POST", "alerts/redeliver", 1): alerts.redeliver,
    ("DELETE", "webhooks", 1): alerts.remove_webhook,
    ("DELETE", "limit_rules", 1): limits.remove_rule,
    ("GET", "flags", 1): flags.get_flag,
    ("PUT", "flags", 1): flags.set_flag,
    ("DELETE", "flags", 1): flags.archive_flag,
    ("GET", "flags/history", 1): flags.flag_history,
    ("POST", "flags/rollback", 1): flags.roll_back_flag,
    ("DELETE", "flag_schedules", 1): flags.call_off_schedule,
    ("GET", "feedback", 1): feedback.get_feedback,
    ("DELETE", "feedback", 1): feedback.withdraw_feedback,
    ("GET", "audit turns", 1): audit.get_turn,
    ("POST", "audit turns/content", 1): audit.read_content,
    ("POST", "audit requests/approve", 1): audit.approve_request,
    ("DELETE", "audit holds", 1): audit.release_hold,
    ("GET", "experiments", 1): experiments.get_experiment,
    ("PUT", "experiments", 1): experiments.describe_experiment,
    ("POST", "experiments/start", 1): experiments.start_experiment,
    ("POST", "experiments/shares", 1): experiments.widen_experiment,
    ("POST", "experiments/stop", 1): experiments.stop_experiment,
    ("POST", "experiments/decision", 1): experiments.decide_experiment,
    ("GET", "experiments/results", 1): experiments.get_results,
    ("GET", "experiments/history", 1): experiments.experiment_history,
    ("GET", "tiers", 1): tiers.get_tier,
    ("PUT", "tiers", 1): tiers.set_tier,
    ("DELETE", "tiers", 1): tiers.remove_tier,
    ("DELETE", "conversations/items", 2): conversations.delete_item,
}
"""Routes `/v1/<thing>/<id>[/items[/<id>]]`, by method, name and number of ids."""

_OF_EVENTS: dict[tuple[str, str], Route] = {
    ("GET", "meters/{id}"): meters.get_meter,
    ("GET", "meters/{id}/query"): meters.query_meter,
    ("POST", "meters/{id}/query"): meters.ask_meter,
    ("GET", "subjects/{id}/entitlements/{id}/value"): entitlements.get_value,
    ("GET", "customers/{id}/entitlements/{id}/value"): entitlements.get_customer_value,
}
"""Routes below `/api/v1`, where OpenMeter's clients look for them."""


async def openapi(operation: Operation, call: Call, relay: Relay | None) -> None:
    """Answer with a description of this API, as OpenAPI 3.1; wants no key."""
    await call.reply_json(openapi_document())


OPERATION: dict[str, Route] = {
    "/healthz": operation.healthz,
    "/readyz": operation.readyz,
    "/status": operation.status,
    "/metrics": operation.metrics,
    "/openapi.json": openapi,
}

_TWO_WORDS = {
    ("chat", "completions"),
    ("audit", "turns"),
    ("audit", "requests"),
    ("audit", "holds"),
}
"""The things whose names have two parts; `_WITH_IDS` joins them by a space."""

TELLING = frozenset({"/status", "/metrics"})
"""Routes of OPERATION that tell more than a probe needs: what fails, sums over all of us."""

INTERNAL: dict[str, InternalRoute] = {
    sibling.PRESENT_PATH: sibling.present,
    sibling.EARLIER_TRY_PATH: earlier_tries.known_try,
}
"""What the node's other serving processes ask, on the private socket alone and without a key."""

_ONE_MODEL = "/v1/models/{id}"
"""The one route whose id may hold slashes."""

_ONE_FLAG = "/ofrep/v1/evaluate/flags/{id}"

_METHODS = ("GET", "POST", "PUT", "DELETE")

_API = ["api", "v1"]

NO_SUCH_ROUTE = "unknown"
"""What metrics call a path that is none."""


def find_route(method: str, path: str) -> tuple[Route | None, tuple[str, ...], str]:
    """Return the route, the ids in its path, and a name that is safe as a metric's label."""
    route = _FIXED.get((method, path))
    if route is not None:
        return route, (), path
    parts = path.strip("/").split("/")
    if parts[:2] == _API:
        return _find_of_events(method, parts[2:])
    if method == "POST" and path == _ONE_FLAG.format(id=parts[-1]):
        return ofrep.evaluate_flag, (parts[-1],), _ONE_FLAG
    if parts[0] != "v1" or len(parts) < 3:
        known = path in OPERATION or path in INTERNAL
        return None, (), path if known else NO_SUCH_ROUTE
    if parts[1] == "models" and method == "GET":
        return models.get_model, ("/".join(parts[2:]),), _ONE_MODEL
    if (parts[1], parts[2]) in _TWO_WORDS:
        parts[1:3] = [" ".join(parts[1:3])]
    thing = "/".join([parts[1], *parts[3:4]])
    ids = tuple(parts[2::2])
    route = _WITH_IDS.get((method, thing, len(ids)))
    if route is None or len(parts) > 5:
        return None, (), NO_SUCH_ROUTE
    return route, ids, f"/v1/{thing.replace(' ', '/')}/{len(ids)}"


def _find_of_events(method: str, parts: list[str]) -> tuple[Route | None, tuple[str, ...], str]:
    """Return the route below `/api/v1`; a subject may hold slashes."""
    ids: tuple[str, ...] = tuple(parts[1:2])
    shape = ["{id}"]
    if parts[0] in ("subjects", "customers") and len(parts) >= 5:
        ids = "/".join(parts[1:-3]), parts[-2]
        shape = ["{id}", parts[-3], "{id}", parts[-1]]
    elif parts[0] == "meters":
        shape += parts[2:]
    name = "/".join([parts[0], *shape])
    route = _OF_EVENTS.get((method, name))
    return (None, (), NO_SUCH_ROUTE) if route is None else (route, ids, f"/api/v1/{name}")


def methods_of(path: str) -> list[str]:
    """Return the methods by which something answers at this path; none when there is no such."""
    if path in OPERATION:
        return ["GET", "HEAD"]
    return [method for method in _METHODS if find_route(method, path)[0] is not None]


class RouteListed(NamedTuple):
    """A route as the reference pages and the tests know it."""

    method: str
    path: str
    who: str
    """Whom it lets in."""
    meaning: str


def routes() -> list[RouteListed]:
    """Return every route with the first line of what it says of itself."""
    return [
        RouteListed(method, path, _who(path, route), (route.__doc__ or "").split("\n")[0])
        for method, path, route in _all()
    ]


def _who(path: str, route: Route) -> str:
    if path in TELLING:
        return f"this machine, {MONITOR.shown}"
    if path in OPERATION:
        return "everybody"
    return "who has signed it" if route in SIGNED else access_to(route).shown


@cache
def openapi_document() -> bytes:
    """Return `/openapi.json`, which is the same for the life of the process."""
    return openapi_json(_all())


def _all() -> list[RouteShown]:
    found = [RouteShown(method, path, route) for (method, path), route in _FIXED.items()]
    found.append(RouteShown("GET", _ONE_MODEL, models.get_model))
    for (method, thing, ids), route in _WITH_IDS.items():
        name, *below = thing.split("/")
        path = "/".join(["/v1", name.replace(" ", "/"), "{id}", *below])
        found.append(RouteShown(method, path + "/{id}" * (ids - 1), route))
    found.append(RouteShown("POST", _ONE_FLAG, ofrep.evaluate_flag))
    for (method, name), route in _OF_EVENTS.items():
        found.append(RouteShown(method, f"/api/v1/{name}", route))
    return found + [RouteShown("GET", path, route) for path, route in OPERATION.items()]
