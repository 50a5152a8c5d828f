"""A client's own request on its way to Poe's Anthropic API."""

from __future__ import annotations

import pytest

from contract.messages import Job, Message, Native
from worker.messages.request import refused, request_of
from worker.poe.faults import Fault
from worker.poe.raw_json import Path
from worker.poe.refused import OF_JOB
from worker.poe.upstream import Ask

SIGNED = (
    b'{"type" : "thinking","thinking":"H\xc3\xb6\\u00e9","signature":"Eq+/=="},'
    b'{"type":"redacted_thinking","data":"x"}'
)


def job(body: bytes, betas: str = "", path: str = "/v1/messages") -> Job:
    headers = (("anthropic-beta", betas),) if betas else ()
    native = Native(path, (body,), headers=headers)
    return Job("j", "c", "claude-sonnet-4.5", (Message("user", "Hi"),), native=native)


def ask(body: bytes, *without: Path, betas: str = "") -> Ask:
    return Ask(job(body, betas), without=frozenset(without))


def test_only_the_name_and_the_stream_are_set_and_all_else_stays_byte_for_byte() -> None:
    given = b'{"max_tokens": 1.0e1, "model":"claude-x", "messages":[%b ], "next\\u0079ear":1e999}'

    request = request_of(ask(given % SIGNED))

    wanted = b'{"max_tokens":1.0e1,"model":"claude-sonnet-4.5","messages":[%b ],"nextyear":1e999'
    assert request.body == wanted % SIGNED + b',"stream":true}'
    assert request.path == "/v1/messages"
    assert request.headers == (("anthropic-version", "2023-06-01"),)


def test_a_stream_is_asked_for_whatever_the_client_wants() -> None:
    request = request_of(ask(b'{"stream":false,"model":"x"}'))

    assert request.body == b'{"stream":true,"model":"claude-sonnet-4.5"}'


def test_what_poe_is_known_to_refuse_is_left_out() -> None:
    request = request_of(ask(b'{"context_management":{"edits":[]},"a":1}'))

    assert b"context_management" not in request.body


def test_what_the_model_has_refused_is_left_out() -> None:
    given = b'{"tools":[{"name":"a","strict":true},{"name":"b"}],"model":"x","stream":true}'

    request = request_of(
        ask(given, ("tools", "strict"), ("anthropic-beta", "b-1"), betas="a-1,b-1, c-1,")
    )

    assert b'"tools":[{"name":"a"},{"name":"b"}]' in request.body
    assert request.headers[1:] == (("anthropic-beta", "a-1,c-1"),)


@pytest.mark.parametrize("body", [b"[]", b'{"a":', b'"x"'])
def test_what_is_no_object_cannot_be_sent(body: bytes) -> None:
    with pytest.raises(Fault) as fault:
        request_of(ask(body))

    assert fault.value.sent is False


def test_another_dialect_cannot_be_sent_there() -> None:
    with pytest.raises(Fault):
        request_of(Ask(job(b"{}", path="/v1/responses")))


def test_a_refusal_names_what_the_job_can_do_without() -> None:
    body = b'{"output_config":{"effort":"high"}}'

    paths = refused(ask(body), "output_config.effort: Extra inputs are not permitted")

    assert paths == {("output_config", "effort")}


SYSTEM_AMID = (
    b'{"system":"s","messages":[{"role" : "user","content":"\\"system\\""},'
    b'{"content":[{"type":"text","text":"now"}],"role":"system"}, {"role":"assistant"}]}'
)


@pytest.mark.parametrize(
    "message",
    [
        'messages.1: Unexpected role "system". The Messages API accepts a top-level `system`',
        "messages.1.role: Input should be 'user' or 'assistant'",
    ],
)
def test_a_system_message_that_is_refused_is_said_by_the_user(message: str) -> None:
    (path,) = refused(ask(SYSTEM_AMID), message)

    body = request_of(ask(SYSTEM_AMID, path)).body

    assert b'{"role" : "user","content":"\\"system\\""}' in body
    assert b'{"content":[{"type":"text","text":"now"}],"role":"user"}' in body
    assert b'"system":"s"' in body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"messages":[{"role":"user"}]}', 'messages.0: Unexpected role "system"'),
        (SYSTEM_AMID, 'messages.1: Unexpected role "tool"'),
        (SYSTEM_AMID, 'tool_choice: no tool is called Unexpected role "system"'),
    ],
)
def test_other_roles_are_not_learned_of(body: bytes, message: str) -> None:
    assert refused(ask(body), message) == set()


def test_a_refused_beta_is_one_of_the_header() -> None:
    message = "Unexpected value(s) `b-1`, `z-9` for the `anthropic-beta` header. Please consult us"

    assert refused(ask(b"{}", betas="a-1, b-1"), message) == {("anthropic-beta", "b-1")}


def test_only_a_beta_by_which_no_other_can_be_named_is_passed_on() -> None:
    message = "Unexpected value(s) `x` and `b-1` for the `anthropic-beta` header."
    betas = "x` and `b-1, c-1"

    assert refused(ask(b"{}", betas=betas), message) == set()
    assert request_of(ask(b"{}", betas=betas)).headers[1:] == (("anthropic-beta", "c-1"),)


def test_who_words_an_error_in_a_key_has_nothing_learned() -> None:
    message = "cache_control: Extra inputs are not permitted x: Extra inputs are not permitted"
    body = b'{"cache_control: Extra inputs are not permitted x":1,"cache_control":{}}'

    assert refused(ask(body), message) == set()


def test_a_message_of_which_no_block_is_left_is_left_out() -> None:
    body = (
        b'{"messages":[{"role":"user","content":[{"type":"hologram"}]},'
        b'{"role":"user","content":[{"type":"text","text":"[]"},{"type":"hologram"}]}]}'
    )
    message = "messages.0.content.0: Input tag 'hologram' found using 'type' does not match any"

    (path,) = refused(ask(body), message)

    wanted = b'{"messages":[{"role":"user","content":[{"type":"text","text":"[]"}]}],'
    assert request_of(ask(body, path)).body.startswith(wanted)


def test_places_are_those_of_what_was_sent() -> None:
    body = b'{"tools":[{"type":"a_2099"},{"type":"b_2099"}]}'
    message = "tools.0: Input tag 'b_2099' found using 'type' does not match any of"

    paths = refused(ask(body, ("tools", "=a_2099")), message)

    assert paths == {("tools", "=b_2099")}


SAMPLED = (
    b'{"max_tokens":64000,"temperature":0.5,"top_p":0.9,"thinking":{"type":"adaptive"},'
    b'"output_config":{"effort":"high"},"model":"x","stream":true}'
)


@pytest.mark.parametrize(
    ("message", "gone", "is_learned"),
    [
        pytest.param(
            "`temperature` and `top_p` cannot both be specified for this model.",
            b'"top_p":0.9,',
            False,
            id="one of two",
        ),
        pytest.param(
            "`temperature` may only be set to 1 when thinking is enabled.",
            b'"temperature":0.5,',
            False,
            id="not while it thinks",
        ),
        pytest.param(
            "This model does not support the effort parameter.",
            b'"effort":"high"',
            True,
            id="effort",
        ),
        pytest.param(
            "adaptive thinking is not supported on this model",
            b'"thinking":{"type":"adaptive"},',
            True,
            id="a way to think",
        ),
    ],
)
def test_what_a_sentence_refuses_is_left_out(message: str, gone: bytes, is_learned: bool) -> None:
    (path,) = refused(ask(SAMPLED), message)

    assert (path[0] != OF_JOB) is is_learned
    wanted = SAMPLED.replace(gone, b"").replace(b'"x"', b'"claude-sonnet-4.5"')
    assert request_of(ask(SAMPLED, path)).body == wanted


def test_an_answer_may_be_as_long_as_the_model_allows() -> None:
    most = "which is the maximum allowed number of output tokens for claude-x"

    (path,) = refused(ask(SAMPLED), f"max_tokens: 64000 > 32000, {most}")

    assert b'{"max_tokens":32000,' in request_of(ask(SAMPLED, path)).body
    assert refused(ask(b'{"max_tokens":5}'), f"max_tokens: 64000 > 32000, {most}") == set()


@pytest.mark.parametrize(
    "message",
    ["`top_k` must be unset when thinking is enabled", "`top_p` must be a number from 0 to 1"],
)
def test_what_a_request_does_not_have_is_not_left_out(message: str) -> None:
    assert refused(ask(b'{"top_k_":5}'), message) == set()
