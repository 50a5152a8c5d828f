"""The command line, taken apart."""

from __future__ import annotations

from itertools import permutations

import pytest

from contract.config import ConfigError
from poe2gpt import __version__, export, groups, keys, tokens, usage
from poe2gpt.flags import COMMANDS, parse


def test_nothing_on_the_line_gives_nothing() -> None:
    flags = parse([])

    assert (flags.command, flags.config, flags.given.values) == ("serve", None, {})


def test_the_flags_of_the_seed_mean_what_they_meant() -> None:
    line = [
        "-t",
        "a,b",
        "-p",
        "1",
        "-sk",
        "k",
        "-r",
        "2",
        "-c",
        "0.5",
        "-o",
        "9",
        "-b",
        '{"m":"B"}',
    ]

    flags = parse(line)

    assert flags.given.values == {
        "tokens": ["a", "b"],
        "port": 1,
        "accessTokens": ["k"],
        "rateLimit": 2,
        "coolDown": 0.5,
        "timeout": 9,
        "bot": {"m": "B"},
    }


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(["-sk", "k"], id="apart"),
        pytest.param(["-sk=k"], id="with ="),
        pytest.param(["--access-tokens", "k"], id="in full"),
        pytest.param(["--access-tokens=k"], id="in full with ="),
    ],
)
def test_access_tokens_are_given_in_any_of_these_ways(line: list[str]) -> None:
    flags = parse(line)

    assert flags.given.values == {"accessTokens": ["k"]}


@pytest.mark.parametrize("line", [["-t", "ab"], ["-tab"], ["-t=ab"]])
def test_a_flag_of_one_letter_may_hold_its_value(line: list[str]) -> None:
    flags = parse(line)

    assert flags.given.values == {"tokens": ["ab"]}


@pytest.mark.parametrize("command", COMMANDS)
def test_flags_stand_before_or_after_any_command(command: str) -> None:
    parts = [[command], ["--port", "1"], ["--redis-url=redis://h"]]

    taken = [parse([word for part in order for word in part]) for order in permutations(parts)]

    assert {flags.command for flags in taken} == {command}
    assert all(f.given.values == {"port": 1, "redisUrl": "redis://h"} for f in taken)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(
            ["--tokns", "s3cret"], "unknown flag --tokns; did you mean --tokens?", id="flag"
        ),
        pytest.param(["--rate_limit=3"], "did you mean --rate-limit?", id="underscore"),
        pytest.param(["srve"], "unknown command srve; did you mean serve?", id="command"),
        pytest.param(["-s", "2"], "no flag -s; set `simulateRoles` in config.toml", id="roles"),
        pytest.param(["-s=2"], "no flag -s; set `simulateRoles` in config.toml", id="roles with ="),
        pytest.param(["--simulate-roles", "2"], "set `simulateRoles` in", id="roles in full"),
        pytest.param(["-x", "http://u:s3cret@h"], "no flag -x; set `proxy` in", id="proxy"),
        pytest.param(["--proxy=http://u:s3cret@h"], "set `proxy` in", id="proxy in full"),
        pytest.param(["-a", "s3cret"], "unknown flag -a (see", id="a short flag"),
        pytest.param(["-t", "a", "-i"], "unknown flag -i (see", id="a short flag at the end"),
        pytest.param(["-at", "s3cret"], "unknown flag -at; did you mean -t?", id="two letters"),
        pytest.param(["-as3cret"], "unknown flag (see", id="a short flag with its value"),
        pytest.param(["demo", "demo"], "unexpected second command demo", id="twice"),
        pytest.param(
            ["demo", "-p", "1", "check"],
            "unexpected second command check",
            id="two commands",
        ),
        pytest.param(["s3cret,other"], "unknown command (see", id="a stray secret"),
        pytest.param(["-sk", "s3cret", "keys", "list"], "keys does not take --access", id="keys"),
        pytest.param(
            ["-t", "s3cret", "--workers", "2", "tokens", "list"],
            "tokens does not take --workers (see poe2gpt tokens --help)",
            id="tokens",
        ),
        pytest.param(["-p"], "expected one argument", id="no value"),
        pytest.param(["-b", "{s3cret"], "not JSON", id="no JSON"),
        pytest.param(["--workers", "0"], "expected a number from 1 to 64", id="no workers"),
    ],
)
def test_a_wrong_line_is_told_the_nearest_right_one(line: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(line)

    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["-v"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"poe2gpt {__version__}\n"


@pytest.mark.parametrize(
    "line",
    [
        [
            "--redis-url",
            "redis://h",
            "--config=c.toml",
            "-p",
            "1",
            "keys",
            "add",
            "ann",
            "--x",
            "y",
        ],
        ["keys", "add", "ann", "--x", "y", "-p=1", "--config", "c.toml", "--redis-url=redis://h"],
    ],
)
def test_a_command_with_verbs_says_where_redis_is_before_or_after(line: list[str]) -> None:
    flags = parse(line)

    assert (flags.command, flags.config) == ("keys", "c.toml")
    assert flags.given.values == {"redisUrl": "redis://h", "port": 1}
    assert flags.verb == ("add", "ann", "--x", "y")


def test_a_token_that_is_called_like_a_command_is_no_command() -> None:
    assert parse(["-t", "keys"]).command == "serve"


def test_a_configuration_file_given_as_the_cooldown_is_told_where_it_belongs() -> None:
    with pytest.raises(ConfigError, match="given with --config"):
        parse(["-c", "config.toml"])


PARSERS = {
    "export": export.parsed,
    "groups": groups.parsed,
    "keys": keys.parsed,
    "tokens": tokens.parsed,
    "usage": usage.parsed,
}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("keys add ann --ratelimit 5", "unknown flag --ratelimit; did you mean --rate-limit?"),
        ("keys add --ratelimit=5", "unknown flag --ratelimit; did you mean --rate-limit?"),
        ("keys set ann --dayBudget 5", "unknown flag --dayBudget; did you mean --day-budget?"),
        ("keys rotate ann --grac 0", "unknown flag --grac; did you mean --grace?"),
        ("keys list --redisurl x", "unknown flag --redisurl; did you mean --redis-url?"),
        ("keys show --jsn ann", "unknown flag --jsn; did you mean --json?"),
        ("keys disable ann -x", "unknown flag -x"),
        ("keys enable -s3cret", "unknown flag"),
        ("keys remove ann s3cret", "too many arguments"),
        ("tokens add --cooldown 1 s3cret", "unknown flag --cooldown; did you mean --cool-down?"),
        ("tokens list s3cret", "too many arguments"),
        ("tokens park x --fr 1h", "unknown flag --fr; did you mean --for?"),
        ("tokens unpark --sn", "unknown flag --sn; did you mean --json?"),
        ("tokens remove --s3cret-S3CRET x", "unknown flag"),
        ("groups set lab --monthbudget 5", "unknown flag --monthbudget; did you mean"),
        ("groups list --jsno", "unknown flag --jsno; did you mean --json?"),
        ("groups show --x lab", "unknown flag --x"),
        ("groups remove lab --confg x", "unknown flag --confg; did you mean --config?"),
        ("usage --timezone UTC", "unknown flag --timezone; did you mean --time-zone?"),
        ("export --sqllite x", "unknown flag --sqllite; did you mean --sqlite?"),
    ],
)
def test_a_wrong_flag_of_a_verb_is_told_the_nearest_and_the_help_of_that_verb(
    line: str, message: str
) -> None:
    command, *words = line.split()
    place = command if command in ("usage", "export") else f"{command} {words[0]}"

    with pytest.raises(ConfigError) as told:
        PARSERS[command](words)

    assert str(told.value).startswith(message)
    assert str(told.value).endswith(f" (see poe2gpt {place} --help)")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("keys", "expected add, list, show, set, rotate, disable, enable or remove"),
        ("groups shw lab", "unknown verb shw; did you mean show?"),
        ("tokens s3cret", "unknown verb; expected add, list, park, unpark or remove"),
        ("groups create lab", "unknown verb; expected set, list, show or remove"),
        (
            "keys create ann",  # not `rotate`, which it resembles
            "unknown verb; expected add, list, show, set, rotate, disable, enable or remove",
        ),
        ("keys -sk s3cret list", "unknown flag -sk"),
        ("keys --json list", "unknown flag --json"),
    ],
)
def test_a_wrong_verb_is_told_the_nearest_and_the_help_of_all(line: str, message: str) -> None:
    command, *words = line.split()

    with pytest.raises(ConfigError) as told:
        PARSERS[command](words)

    assert str(told.value) == f"{message} (see poe2gpt {command} --help)"


def test_what_begins_with_a_dash_may_still_be_a_value() -> None:
    assert keys.parsed(["add", "--weight", "-1", "--", "--x"]).name == "--x"
    assert keys.parsed(["add", "--label=-a=-b", "--group=--x", "ann"]).group == "--x"
    assert tokens.parsed(["add", "-"]).secret == "-"


@pytest.mark.parametrize("line", [["-t", "a,b", "tokens", "list"], ["tokens", "list", "-t=a,b"]])
def test_the_tokens_of_a_service_may_be_given_to_the_command_about_them(line: list[str]) -> None:
    flags = parse(line)

    assert (flags.command, flags.verb) == ("tokens", ("list",))
    assert flags.given.values == {"tokens": ["a", "b"]}
