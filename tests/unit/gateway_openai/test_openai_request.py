import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import Format, Message, Options, ToolCall
from gateway.openai.chat_request import MAX_BIASES, MAX_STOP, MAX_STOPS, ChatAsk, parse_chat
from gateway.openai.errors import body as error_body
from gateway.openai.errors import reply
from gateway.problems import Problem
from tests.support.openai_answers import code_of, status_of

HELLO = {"role": "user", "content": "Hello"}


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": "GPT-5", "messages": [HELLO]} | fields).encode()


def says(message: dict[str, Any]) -> Message:
    (parsed,) = parse_chat(chat(messages=[message])).messages
    return parsed


def refusal(body: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        parse_chat(body)
    assert status_of(caught.value) == 400
    assert b'"type":"invalid_request_error"' in reply(caught.value).body
    return caught.value


def test_the_least_that_is_a_request() -> None:
    assert parse_chat(chat()) == ChatAsk("GPT-5", (Message("user", "Hello"),))


def test_all_that_is_honoured() -> None:
    body = chat(
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
        temperature=1,
        stop=["a", "", "b"],
        logit_bias={"42": -100},
        top_p=0.5,
        max_tokens=100,
        reasoning_effort="high",
        n=8,
        response_format={"type": "json_object"},
    )

    asked = parse_chat(body)

    assert asked.stream
    assert asked.include_usage
    assert asked.continuous_usage
    assert asked.choices == 8
    assert asked.options == Options(
        1.0, ("a", "b"), {"42": -100.0}, 0.5, 100, "high", format=Format()
    )


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_the_newer_limit_of_tokens_wins(fields: dict[str, Any], limit: int) -> None:
    assert parse_chat(chat(**fields)).options.max_tokens == limit


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "xhigh"},
        {"reasoning": {"effort": "xhigh", "summary": "auto"}},
        {"reasoning_effort": "xhigh", "reasoning": {"effort": "low"}},
    ],
)
def test_the_effort_is_said_in_two_ways(fields: dict[str, Any]) -> None:
    options = parse_chat(chat(**fields)).options

    assert options.reasoning_effort == "xhigh"
    assert not options.extra


def test_token_counts_of_every_chunk_are_for_those_who_want_any() -> None:
    options = {"include_usage": False, "continuous_usage_stats": True}

    assert not parse_chat(chat(stream_options=options)).continuous_usage


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            Format("n", SCHEMA),
        ),
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, Format("", SCHEMA)),
        ({"type": "json_schema", "json_schema": {"name": "n", "strict": None}}, Format("n")),
    ],
)
def test_an_answer_may_be_asked_for_as_json(given: dict[str, Any], meant: Format | None) -> None:
    assert parse_chat(chat(response_format=given)).options.format == meant


def outcome_of(body: bytes) -> ChatAsk | Problem:
    try:
        return parse_chat(body)
    except Problem as error:
        return error


OPTIONAL = [
    "stream",
    "stream_options",
    "temperature",
    "stop",
    "logit_bias",
    "n",
    "input",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "user",
    "audio",
    "metadata",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
    "extra_body",
    "aspect",
]


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_is_absent(field: str) -> None:
    assert parse_chat(chat(**{field: None})) == parse_chat(chat())


IGNORED = [
    pytest.param({"n": 1}, id="one choice"),
    pytest.param({"presence_penalty": 0, "frequency_penalty": 0.5}, id="sampling"),
    pytest.param({"logprobs": False, "top_logprobs": 0}, id="no log probabilities"),
    pytest.param({"tools": [], "tool_choice": "auto"}, id="no tools"),
    pytest.param({"tool_choice": "none", "parallel_tool_calls": True}, id="no tool is chosen"),
    pytest.param({"functions": [], "function_call": "none"}, id="no functions"),
    pytest.param({"response_format": {"type": "text"}}, id="text"),
    pytest.param({"user": "u", "safety_identifier": "u", "prompt_cache_key": "k"}, id="who asks"),
    pytest.param({"store": False, "metadata": {"a": [{}]}, "service_tier": "auto"}, id="account"),
    pytest.param({"modalities": ["text"], "audio": {"voice": "x"}}, id="form"),
    pytest.param({"prediction": {"type": "content", "content": "x"}}, id="prediction"),
    pytest.param({"web_search_options": {}, "moderation": {}}, id="tools of OpenAI"),
    pytest.param(
        {"prompt_cache_retention": "24h", "prompt_cache_options": {"x": 1}}, id="prompt cache"
    ),
    pytest.param({"stream_options": {"x": 1, "include_obfuscation": False}}, id="stream options"),
    pytest.param({"stop": ""}, id="an empty stop"),
    pytest.param({"aspect": None, "extra_body": None}, id="nothing beyond OpenAI's"),
    pytest.param({"extra_body": {}}, id="an empty extra body"),
]


def test_what_a_model_of_poes_may_declare_is_passed_on() -> None:
    asked = parse_chat(chat(seed=2**62, verbosity="low"))

    assert asked.options.extra == {"seed": 2**62, "verbosity": "low"}


@pytest.mark.parametrize("fields", IGNORED)
def test_what_cannot_be_honoured_is_ignored(fields: dict[str, Any]) -> None:
    assert parse_chat(chat(**fields)) == parse_chat(chat())


def test_what_openai_does_not_know_is_for_the_model() -> None:
    extra = {"aspect": "16:9", "thinking_budget": 2000, "web_search": True, "x": [{"y": 1.5}]}

    assert parse_chat(chat(**extra)).options.extra == extra


def test_an_extra_body_is_put_where_openais_client_would_have() -> None:
    body = chat(extra_body={"aspect": "16:9", "top_p": 0.5, "extra_body": 1}, aspect="1:1")

    options = parse_chat(body).options

    assert options.extra == {"aspect": "16:9"}
    assert options.top_p == 0.5


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("system", "system"),
        ("developer", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
        ("tool", "tool"),
        ("function", "tool"),
    ],
)
@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param("Hi", "Hi", id="a string"),
        pytest.param(None, "", id="null"),
        pytest.param([], "", id="no parts"),
        pytest.param(
            [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "refusal", "refusal": "b"},
                {"type": "output_text", "text": "c"},
            ],
            "a\nb\nc",
            id="parts",
        ),
    ],
)
def test_any_role_may_have_content_of_any_form(
    sent: str, meant: str, content: object, text: str
) -> None:
    assert says({"role": sent, "content": content}) == Message(meant, text)  # type: ignore[arg-type]


def test_an_assistant_that_only_calls_tools() -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "2", "type": "custom", "custom": {"name": "g", "input": "raw"}},
        {"function": {"name": "h"}},
    ]

    message = says({"role": "assistant", "tool_calls": calls, "reasoning_content": "hm"})

    assert message == Message(
        "assistant",
        "",
        tool_calls=(ToolCall("1", "f", "{}"), ToolCall("2", "g", "raw"), ToolCall("", "h", "")),
    )


def test_a_tool_answers() -> None:
    message = says({"role": "tool", "tool_call_id": "1", "content": "42", "name": "f"})

    assert message == Message("tool", "42", name="f", tool_call_id="1")


def test_a_function_is_called_and_answers_as_in_2023() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}

    assert says(called) == Message("assistant", "", tool_calls=(ToolCall("", "f", ""),))
    assert says({"role": "function", "name": "f", "content": "1"}) == Message("tool", "1", "f")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": "  "}, "model"),
        ({"model": 5}, "model"),
        ({"model": "x" * 300}, "model"),
        ({"model": "a\nb"}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [HELLO] * 10_001}, "messages"),
        ({"messages": [HELLO, "x"]}, "messages[1]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": None, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "refusal"}]}]},
            "messages[0].content[0].refusal",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
            "messages[0].tool_calls[0].function",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": ""}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"logit_bias": {"a": 101}}, "logit_bias"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"n": 9}, "n"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"top_p": "x"}, "top_p"),
        ({"seed": []}, "seed"),
        ({"tools": {}}, "tools"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}},
            "response_format.json_schema.schema",
        ),
        ({"max_tokens": 0.5}, "max_tokens"),
        ({"max_completion_tokens": "16"}, "max_completion_tokens"),
        ({"seed": 2**64}, "seed"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 1e300}, "seed"),
        ({"n": 1.5}, "n"),
        ({"top_p": 1.1}, "top_p"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"metadata": []}, "metadata"),
        ({"modalities": "text"}, "modalities"),
        ({"store": "no"}, "store"),
        ({"logit_bias": {str(token): 1 for token in range(MAX_BIASES + 1)}}, "logit_bias"),
        ({"extra_body": [1]}, "extra_body"),
        ({"extra_body": {"n": 9}}, "n"),
        ({"x" * 65: 1}, "x" * 64),
        ({"huge": 2**70}, "huge"),
        ({"deep": json.loads("[" * 200 + "]" * 200)}, "deep"),
    ],
)
def test_a_mistake_is_a_400_that_names_its_place(fields: dict[str, Any], param: str) -> None:
    error = refusal(chat(**fields))

    assert error.param == param
    assert param in error.message


def test_types_are_named_as_in_json() -> None:
    error = refusal(chat(messages=[HELLO, {"role": "user", "content": 5}]))

    assert error.message == (
        "Invalid 'messages[1].content': Expected `string | array | null`, got `integer`."
    )


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_the_two_required_fields_are_missed(missing: str) -> None:
    body = {"model": "GPT-5", "messages": [HELLO]}
    del body[missing]

    error = refusal(json.dumps(body).encode())

    assert (error.param, code_of(error)) == (missing, "missing_required_parameter")


def test_only_so_many_fields_are_passed_on() -> None:
    assert len(parse_chat(chat(**{f"x{i}": i for i in range(64)})).options.extra) == 64
    assert "65 fields" in refusal(chat(**{f"x{i}": i for i in range(65)})).message


def test_a_responses_body_is_told_where_it_is() -> None:
    error = refusal(json.dumps({"model": "GPT-5", "input": [HELLO]}).encode())

    assert error.param == "messages"
    assert "`input`" in error.message


def test_an_input_of_null_is_no_responses_body() -> None:
    error = refusal(b'{"model":"GPT-5","input":null}')

    assert "`input`" not in error.message


WHOLE = chat().removesuffix(b"}") + b","


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Hello", id="text"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b'{"model":"x"', id="cut off"),
        pytest.param(b"{}{}", id="two objects"),
        pytest.param(WHOLE + b'"temperature":NaN}', id="NaN"),
        pytest.param(WHOLE + b'"temperature":1e999}', id="beyond a float"),
        pytest.param(WHOLE + b'"seed":' + b"1" * 5_000 + b"}", id="thousands of digits"),
        pytest.param(WHOLE + b'"user":"\xff"}', id="not UTF-8"),
        pytest.param(WHOLE + b'"unknown":"\xff"}', id="not UTF-8 where nobody looks"),
        pytest.param(WHOLE + rb'"user":"' + rb"\ud800" * 1_001 + b'"}', id="too many half emoji"),
        pytest.param(chat().decode().encode("utf-16"), id="UTF-16"),
        pytest.param(WHOLE + b'"unknown":' + b"[" * 10**5 + b"]" * 10**5 + b"}", id="deep arrays"),
        pytest.param(WHOLE + b'"tools":[' + b'{"a":' * 10**5, id="deep objects"),
    ],
)
def test_nonsense_is_a_400(body: bytes) -> None:
    error = refusal(body)

    assert code_of(error) != "missing_required_parameter"


def test_an_error_repeats_little_of_the_request() -> None:
    error = refusal(chat(messages=[{"role": "r" * 100_000, "content": ""}]))

    assert len(error.message) < 300


MESSAGE_KEYS = ["role", "content", "type", "text", "tool_calls", "function", "name", "arguments"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MESSAGE_KEYS), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["model", "messages", *OPTIONAL]), JSON))
def test_whatever_json_comes_the_answer_is_a_request_or_a_400(fields: dict[str, Any]) -> None:
    outcome = outcome_of(chat(**fields))

    if isinstance(outcome, Problem):
        assert status_of(outcome) == 400
        assert len(error_body(outcome)) < 60_000
    else:
        assert outcome.messages


@given(st.binary(max_size=200), st.integers(0, 200))
def test_whatever_bytes_come_the_answer_is_a_request_or_a_400(noise: bytes, place: int) -> None:
    whole = chat()

    outcome = outcome_of(whole[:place] + noise + whole[place + len(noise) :])

    assert isinstance(outcome, ChatAsk) or status_of(outcome) == 400


@pytest.mark.parametrize(
    "stop", [["x"] * (MAX_STOPS + 1), ["x" * (MAX_STOP // 4 + 1)] * 4, "x" * (MAX_STOP + 1)]
)
def test_stop_sequences_are_bounded(stop: Any) -> None:
    with pytest.raises(Problem) as refused:
        parse_chat(chat(stop=stop))

    assert (status_of(refused.value), refused.value.param) == (400, "stop")
