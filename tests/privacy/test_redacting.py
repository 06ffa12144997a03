"""Hiding for good, hiding so that it comes back, and how both behave at their bounds."""

import threading

import msgspec
import pytest

from axon.privacy import (
    CUSTOM_MAX,
    Hiding,
    PatternInvalid,
    Policies,
    PrivacyPolicy,
    Redactor,
    Restorer,
    custom_kinds,
    hidden_again,
)
from axon.privacy.redactor import DEPTH_MAX, HIDDEN_MAX
from axon.privacy.scanner import OVERLAP_BYTES, TEXT_BYTES_MAX

_CARD = "4111 1111 1111 1111"


def test_a_value_is_replaced_by_its_kind_and_the_text_around_it_stays() -> None:
    redacted = Redactor().redact(f"Grüße, «jane@example.com» zahlt mit {_CARD}!")
    assert redacted.text == "Grüße, «[email]» zahlt mit [card]!"
    assert redacted.counts == {"email": 1, "card": 1}


def test_a_value_that_a_cut_of_a_long_text_falls_into_is_hidden_whole() -> None:
    for place in (TEXT_BYTES_MAX, TEXT_BYTES_MAX - OVERLAP_BYTES):
        for shift in range(-20, 1, 4):
            before = ". " * ((place + shift) // 2)
            text = Redactor().redact(f"{before}jane.doe@example.com {_CARD}. end").text
            assert text == f"{before}[email] [card]. end"


def test_a_private_key_is_hidden_whole_also_when_its_end_was_cut_off() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQ/+\n" * 200
    assert Redactor().redact(f"a {key}-----END PRIVATE KEY----- b").text == "a [private_key] b"
    assert Redactor().redact(f"a {key}").text == "a [private_key]"


def test_the_same_value_has_one_name_and_comes_back() -> None:
    text = "jane@a.example wrote to bob@a.example; jane@a.example waits."
    hiding = Hiding(Redactor(), text.encode())
    hidden = hiding.hide(text)
    assert hidden == "[EMAIL_1] wrote to [EMAIL_2]; [EMAIL_1] waits."
    restorer = Restorer(hiding.values)
    assert restorer.feed(hidden) + restorer.finish() == text
    assert hidden_again(text, hiding.values) == hidden


def test_a_name_that_stands_in_the_text_already_is_not_given_to_a_value() -> None:
    text = "[EMAIL_1] is not jane@a.example"
    hiding = Hiding(Redactor(), text.encode())
    assert hiding.hide(text) == "[EMAIL_1] is not [EMAIL_2]"
    assert hiding.values == {"[EMAIL_2]": "jane@a.example"}


def test_a_name_split_anywhere_is_restored_and_nothing_else_is_held() -> None:
    values = {"[EMAIL_1]": "jane@a.example"}
    text = "see [EMAIL_1], list[0], [EMAIL_2] and [ nothing ["
    wanted = text.replace("[EMAIL_1]", "jane@a.example")
    for cut in range(len(text) + 1):
        restorer = Restorer(values)
        told = restorer.feed(text[:cut]) + restorer.feed(text[cut:])
        assert told + restorer.finish() == wanted
    one_by_one = Restorer(values)
    assert "".join(map(one_by_one.feed, text)) + one_by_one.finish() == wanted
    assert Restorer(values).feed("[" + "A" * 60) == "[" + "A" * 60


def test_more_values_than_can_come_back_are_hidden_for_good() -> None:
    text = " ".join(f"a{number}@b.example" for number in range(HIDDEN_MAX + 2))
    hiding = Hiding(Redactor(), text.encode())
    hidden = hiding.hide(text)
    assert len(hiding.values) == HIDDEN_MAX
    assert hidden.endswith(f"[EMAIL_{HIDDEN_MAX}] [email] [email]")


def test_log_lines_are_redacted_text_by_text_behind_an_escape_too() -> None:
    secret = {"message": f'said "\t{_CARD}" twice', "jane@example.com": ["10.0.0.1", 7, None]}
    line, plain = msgspec.json.encode(secret).decode() + "\n", '{"message":"all\\nwell"}\n'
    done = Redactor().redact_lines([line, plain, "not json jane@example.com\n"])
    assert done.splitlines() == [
        '{"message":"said \\"\\t[card]\\" twice","[email]":["10.0.0.1",7,null]}',
        plain.strip(),
        "not json [email]",
    ]


def test_json_deeper_than_is_followed_is_redacted_as_text() -> None:
    value: object = "jane@example.com"
    for _ in range(DEPTH_MAX + 5):
        value = [value]
    assert "[email]" in str(Redactor().redact_json(value))


def test_custom_patterns_count_before_the_built_in_ones() -> None:
    redactor = Redactor(custom_kinds({"customer": "ACME-[0-9]{5,9}", "mail": "jane@[a-z.]{11}"}))
    assert redactor.redact("ACME-12345 jane@example.com").text == "[customer] [mail]"
    assert Redactor().redact("ACME-12345").text == "ACME-12345"


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "x*", "a{3,}", "(?<=a)b", "(a)\\1", "a" * 257, "[", "", "é"],
)
def test_a_pattern_without_a_bound_or_that_would_backtrack_is_refused(pattern: str) -> None:
    with pytest.raises(PatternInvalid):
        custom_kinds({"mine": pattern})


def test_names_and_number_of_custom_patterns_are_bounded() -> None:
    with pytest.raises(PatternInvalid):
        custom_kinds({"Not a name": "abc"})
    many = {f"kind_{number}": "abc[*+]\\*" for number in range(CUSTOM_MAX)}
    assert len(custom_kinds(many)) == CUSTOM_MAX
    with pytest.raises(PatternInvalid):
        custom_kinds({**many, "one_more": "abc"})


def test_an_organization_has_its_own_policy_or_the_one_for_all() -> None:
    own = PrivacyPolicy(engine_input=True)
    policies = Policies(PrivacyPolicy(), {"org_a": own})
    assert policies.hide_anything
    assert policies.of("org_a") is own
    assert not policies.of("org_b").engine_input
    assert not Policies(PrivacyPolicy()).hide_anything


def test_threads_scan_at_once() -> None:
    redactor, done = Redactor(), []

    def work() -> None:
        done.extend([redactor.redact(f"x jane@example.com {_CARD}").text for _ in range(50)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == ["x [email] [card]"] * 200
