"""Made-up requests for every operation of `/openapi.json`, each answer held to the document.

No answer may be a 5xx, of a status or a shape the document does not know, late, or hold a word of
another organization; data that violates the document must be refused.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import Failure
from schemathesis.core.result import Ok

from tests.fuzz.tenants import CANARY, MODEL, Known, Tenant, stranger_key
from tests.gateway.conftest import RunningAxon

ANSWER_WITHIN_S = 15.0
"""Every engine here answers at once, so a request that takes longer hangs."""

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
_ENDLESS = "/events"
"""The one stream that goes on until its client leaves."""

_SHOWN_CHARS = 1000


class Found(AssertionError):
    """An answer that should not have been given; says how to ask for it again."""


@dataclass(slots=True)
class Asked:
    """How many requests there were, by operation and status."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Return the number of all requests."""
        return sum(sum(counter.values()) for counter in self.statuses.values())

    def reached(self, label: str) -> bool:
        """Return whether an operation has answered a request as asked."""
        return self.statuses[label][200] + self.statuses[label][204] > 0


class ApiFuzz:
    """One running Axon under made-up requests."""

    def __init__(self, axon: RunningAxon) -> None:
        """Read the document and make what the stranger keeps."""
        load_all_checks()
        self.origin = axon.origin
        self._checks: list[Any] = CHECKS.get_by_names(list(_CHECKS))
        self._asking = Tenant(axon, axon.api_key)
        self._session = self._asking.session
        document = self._session.get(f"{axon.origin}/openapi.json", timeout=30).json()
        self.document = _without_keys(document)
        self.stranger = Tenant(axon, stranger_key(axon))
        self._hidden = self.stranger.make_objects(CANARY)

    def run(self, number: int, examples: int) -> Asked:
        """Ask every operation `examples` times in each mode; the same number asks the same.

        Raises a group of Found, one for each operation that gave one.
        """
        asked = Asked()
        wrong: list[Found] = []
        schema = schemathesis.openapi.from_dict(self.document, config=_as_sent())
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            self._asking.make_flag()
            ids = self._asking.make_objects("mine").joined(self._hidden)
            seen = asked.statuses.setdefault(operation.label, Counter())
            asks = bool(operation.query or operation.body)  # no text violates a path
            for mode in [GenerationMode.POSITIVE] + [GenerationMode.NEGATIVE] * asks:
                cases = operation.as_strategy(generation_mode=mode)
                try:
                    self._fuzz(cases, ids, seen, (number, examples))
                except Found as error:
                    wrong.append(error)
        if wrong:
            raise ExceptionGroup(f"with the number {number}", wrong)
        return asked

    def _fuzz(
        self,
        cases: st.SearchStrategy[Case[Any]],
        known: Known,
        seen: Counter[int],
        extent: tuple[int, int],
    ) -> None:
        number, examples = extent

        @seed(number)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, draw=st.data())
        def ask(case: Case[Any], draw: st.DataObject) -> None:
            _make_likely(case, known, draw)
            seen[self._judge(case)] += 1

        ask()

    def _judge(self, case: Case[Any]) -> int:
        """Send a request and return its status; raise Found for what should not be answered."""
        began = time.monotonic()
        try:
            answer = self._send(case)
        except requests.RequestException as error:
            raise self._found(case, f"no answer: {error!r}") from error
        if time.monotonic() - began > ANSWER_WITHIN_S:
            raise self._found(case, "the answer came late")
        if answer is None:
            return 200
        if CANARY.encode() in answer.content or CANARY in str(answer.headers):
            raise self._found(case, "it tells another organization's words")
        for check in self._checks:
            try:
                case.validate_response(answer, checks=[check])
            except (Failure, BaseExceptionGroup) as failure:
                if not _is_ignored(failure):
                    said = f"{answer.status_code} {answer.text[:_SHOWN_CHARS]}"
                    raise self._found(case, f"{_told(failure)}\n{said}") from None
        return answer.status_code

    def _send(self, case: Case[Any]) -> requests.Response | None:
        """Return the answer; None for a stream without an end that began as it should."""
        arguments: dict[str, Any] = case.as_transport_kwargs(base_url=self.origin)
        arguments["timeout"] = ANSWER_WITHIN_S
        answer = self._session.request(**arguments, stream=True)
        if answer.status_code == 200 and case.path.endswith(_ENDLESS):
            answer.close()
            return None
        _ = answer.content
        return answer

    def _found(self, case: Case[Any], what: str) -> Found:
        return Found(f"{case.method} {case.path}: {what}\n{case.as_curl_command()}")


def _as_sent() -> schemathesis.Config:
    """Return the setting under which a request that is shown is the one that was sent."""
    return schemathesis.Config.from_dict({"output": {"sanitization": {"enabled": False}}})


def _without_keys(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without its security: keys have tests of their own."""
    for path in document["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    return {name: value for name, value in document.items() if name != "security"}


def _make_likely(case: Case[Any], known: Known, draw: st.DataObject) -> None:
    """Put ids that exist, and models that answer, into most places that take one."""
    for container in (case.path_parameters, case.query, case.body):
        if not isinstance(container, dict):
            continue
        for name, ids in known.ids.items():
            if name in container and isinstance(container[name], str):
                chosen = draw.draw(st.sampled_from([*ids, *ids, container[name]]))
                container[name] = chosen
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        body["model"] = draw.draw(st.sampled_from([MODEL, MODEL, MODEL, body["model"]]))


def _is_ignored(failure: BaseException) -> bool:
    """Return whether it says that an unknown parameter was passed over, as OpenAI does."""
    return "additionalProperties" in _told(failure)


def _told(failure: BaseException) -> str:
    if isinstance(failure, BaseExceptionGroup):
        return "\n".join(_told(inner) for inner in failure.exceptions)
    return f"{failure}\n{getattr(failure, 'message', '')}"
