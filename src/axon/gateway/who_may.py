"""START HERE for access control: who may use which route. What is not named here is refused."""

from collections.abc import Awaitable, Callable, Mapping

from axon.gateway import (
    access,
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
    outside_events,
    passes,
    prices,
    response_items,
    responses,
    stored_chat,
    stored_responses,
    stripe_events,
    subjects,
    sync,
    tiers,
    training,
    usage,
)
from axon.gateway.access import Access

Route = Callable[..., Awaitable[None]]

_LET_IN: tuple[tuple[Access, tuple[Route, ...]], ...] = (
    (access.PERSON, (
        chat.create_completion, completions.create_completion, embeddings.create_embeddings,
        responses.create_response, response_items.count_input_tokens, compaction.compact_input,
        stored_responses.get_response, stored_responses.delete_response,
        stored_responses.cancel_response, response_items.list_input_items,
        stored_chat.list_completions, stored_chat.get_completion, stored_chat.update_completion,
        stored_chat.delete_completion, stored_chat.list_messages,
        conversations.create_conversation, conversations.get_conversation,
        conversations.update_conversation, conversations.delete_conversation,
        conversations.create_items, conversations.list_items, conversations.get_item,
        conversations.delete_item, conversation_list.list_conversations,
        conversation_search.search_conversations, conversation_events.follow_conversation,
        conversation_fork.fork_conversation, conversation_title.make_title,
        conversation_regenerate.regenerate, sync.sync,
        models.list_models, models.get_model, usage.own_usage, limits.get_limits,
        ofrep.evaluate_flag, ofrep.evaluate_flags,
        feedback.give_feedback, feedback.get_feedback, feedback.withdraw_feedback,
    )),
    # Of these everybody may ask for their own; who may ask for others' is said by `access` too.
    (access.PERSON, (
        feedback.list_feedback, subjects.erase_person, subjects.export_person,
        training.get_consent, training.say_consent,
    )),
    (access.ACTING, (passes.create_pass,)),
    (access.USAGE, (
        usage.completions_usage, usage.costs, meters.list_meters, meters.get_meter,
        meters.query_meter, meters.ask_meter, entitlements.get_value,
        entitlements.get_customer_value,
    )),
    (access.INVOICES, (invoices.list_invoices, invoices.get_invoice)),
    (access.EVENTS, (outside_events.send_events,)),
    (access.ALERTS, (alerts.list_alerts,)),
    (access.WEBHOOKS, (
        alerts.list_webhooks, alerts.add_webhook, alerts.remove_webhook, alerts.list_deliveries,
        alerts.redeliver,
    )),
    (access.LIMITS, (
        limits.list_rules, limits.set_rule, limits.remove_rule, tiers.list_tiers, tiers.get_tier,
        tiers.set_tier, tiers.remove_tier,
    )),
    (access.FLAGS, (
        flags.list_flags, flags.change_flags, flags.get_flag, flags.set_flag, flags.archive_flag,
        flags.flag_history, flags.roll_back_flag, flags.call_off_schedule,
        experiments.list_experiments, experiments.get_experiment,
        experiments.describe_experiment, experiments.start_experiment,
        experiments.widen_experiment, experiments.stop_experiment,
        experiments.decide_experiment, experiments.get_results, experiments.experiment_history,
    )),
    (access.TURNS, (audit.search_turns, audit.get_turn)),
    (access.PRICES, (prices.list_prices, prices.set_price)),
    (access.CONTENT, (
        audit.read_content, audit.request_reading, audit.list_requests, audit.approve_request,
    )),
    (access.WATCHED, (audit.list_accesses, audit.list_holds)),
    (access.TRAINERS, (training.export_examples,)),
    (access.ALLOWING, (training.get_policy, training.set_policy)),
    (access.OFFICERS, (audit.set_hold, audit.release_hold, subjects.list_receipts)),
)  # fmt: skip

_ACCESS: Mapping[Route, Access] = {route: one for one, let_in in _LET_IN for route in let_in}

SIGNED: frozenset[Route] = frozenset({stripe_events.take_event, ofrep.follow_changes})
"""Routes that want no key: who asks has signed the request, or has a URL that we signed. Any
process answers them."""

NOBODY = Access()


def access_to(route: Route) -> Access:
    """Return whom a route lets in; nobody, where nothing was said."""
    return _ACCESS.get(route, NOBODY)
