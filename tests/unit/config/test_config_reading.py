"""Reading settings: files, sources, secrets, and what is said of mistakes."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from contract import config
from contract.config import ConfigError, File, Given, KeyPrefix, Settings, read_settings, read_toml

LETTER = "x"


class Sample(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit: Annotated[int, Meta(ge=1)] = 60
    cool_down: float = 3.0
    simulate_roles: Literal[0, 1, 2] = 0
    proxy: str = ""
    bot: dict[str, str] = {}
    key_prefix: KeyPrefix = "p2g:"


class Entry(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    token: str
    rate_limit: Annotated[int, Meta(ge=1)] | None = None


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return Settings(read_toml(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "# c\n\nrateLimit = 0\n",
            "config.toml:3: `rateLimit` = 0: expected a whole number >= 1",
            id="out of range",
        ),
        pytest.param(
            'rateLimit = "many"',
            "config.toml:1: `rateLimit` = 'many': expected a whole number",
            id="wrong type",
        ),
        pytest.param(
            'coolDown = "long"',
            "config.toml:1: `coolDown` = 'long': expected a number",
            id="no number",
        ),
        pytest.param(
            "simulateRoles = 5",
            "config.toml:1: `simulateRoles` = 5: expected 0, 1 or 2",
            id="none of a few",
        ),
        pytest.param(
            'keyPrefix = "p2g:{a}"',
            "config.toml:1: `keyPrefix` = 'p2g:{a}': expected only A-Z a-z 0-9 _ . : and -",
            id="a character that no prefix has",
        ),
        pytest.param(
            'keyPrefix = ""',
            "config.toml:1: `keyPrefix` = '': must not be empty",
            id="no prefix",
        ),
        pytest.param(
            f'keyPrefix = "{65 * LETTER}"',
            f"config.toml:1: `keyPrefix` = '{65 * LETTER}': expected at most 64 characters",
            id="a long prefix",
        ),
        pytest.param(
            "proxy = 12345",
            "config.toml:1: `proxy`: expected text in quotes",
            id="a secret",
        ),
        pytest.param(
            '[bot]\n"a" = "A"\n"b" = 5\n',
            "config.toml:3: `bot.b` = 5: expected text in quotes",
            id="one value of a map",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    settings = read(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        settings.struct(Sample)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            'tokens = [\n  "a",\n  { token = "b", rateLmit = 3 },\n]',
            "config.toml:3: unknown key `tokens[1].rateLmit`; did you mean `rateLimit`?",
            id="misspelt in a table",
        ),
        pytest.param(
            '[[tokens]]\ntoken = "a"\n[[tokens]]\ntoken = "b"\nrateLimit = -1\n',
            "config.toml:5: `tokens[1].rateLimit` = -1: expected a whole number >= 1",
            id="an array of tables",
        ),
        pytest.param(
            "tokens = [\n  987654321,\n]",
            "config.toml:2: `tokens[0]`: expected text in quotes, or a table",
            id="a secret without quotes",
        ),
        pytest.param(
            "tokens = [{ rateLimit = 3 }]",
            "config.toml:1: `tokens[0]`: table missing required field `token`",
            id="no secret in it",
        ),
        pytest.param(
            'tokens = "hidden"',
            'config.toml:1: `tokens`: expected a list such as ["…"]',
            id="no list",
        ),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    settings = read(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        settings.list_of(Entry, "tokens")

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b'port = 1\nproxy = "hidden\n', ":2: not TOML at column", id="an open string"),
        pytest.param(b"tokens = [", "config.toml: not TOML", id="ends too early"),
        pytest.param(b"# \xff", "byte 3 is not UTF-8", id="other encoding"),
    ],
)
def test_a_broken_file_is_named_without_its_content(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_toml(path)

    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_directory_in_the_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "port = 1\ntokens = [“a”]\n",
            "c.toml:2: not TOML at column 11: Invalid value; there",
        ),
        ('tokens = ["a"，"b"]', "there is ， (U+FF0C) where , belongs"),
        ('\u200btokens = ["a"]', "there is an invisible U+200B"),
        ("port ＝ 3700", "there is ＝ (U+FF1D) where = belongs"),
        ("port：3700", "there is ： (U+FF1A) where : belongs"),
        ('【bot】\n"a" = "b"', "there is 【 (U+3010) where [ belongs"),
        ("port = ３７００", "(U+FF13) where 3 belongs"),
        ("port\u3000= 1", "(U+3000) where a space belongs"),
    ],
)
def test_punctuation_of_another_width_is_called_by_its_name(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        config.read_toml(path)

    assert message in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_of_windows_are_read(tmp_path: Path, encoding: str, newline: str) -> None:
    text = "# é\ntokens = []\nport = 3701\n".replace("\n", newline)
    content = b"\xff\xfe" + text.encode("utf-16-le") if "bom" in encoding else text.encode(encoding)
    (tmp_path / "c.toml").write_bytes(content)

    assert config.read_toml(tmp_path / "c.toml").values == {"tokens": [], "port": 3701}


def test_utf_16_without_its_mark_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes("port = 1".encode("utf-16-le"))

    with pytest.raises(ConfigError, match="null characters: save the file as UTF-8"):
        config.read_toml(tmp_path / "c.toml")


def test_a_byte_order_mark_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbfrateLimit = 7")

    settings = Settings(read_toml(path))

    assert settings.struct(Sample) == Sample(rate_limit=7)


def test_the_last_source_wins_and_answers_for_its_values() -> None:
    file = File("config.toml", "rateLimit = 5", {"rateLimit": 5})
    flags = Given({"rateLimit": 0}, {"rateLimit": "--rate-limit"})
    settings = Settings(file, flags)

    with pytest.raises(ConfigError) as caught:
        settings.struct(Sample)

    assert str(caught.value) == "`--rate-limit` = 0: expected a whole number >= 1"


@given(st.lists(st.sampled_from(["# x", "", "a = 1", "b = [\n1,\n2\n]", "c = '''\nq\n'''"])))
def test_the_line_of_a_key_is_found_whatever_stands_before_it(before: list[str]) -> None:
    lines = [f"{line.replace(' =', f'{n} =', 1)}" for n, line in enumerate(before)]
    text = "\n".join([*lines, "wanted = 1", "# end"])

    where = File("f", text, {}).where(("wanted",))

    assert where == f"f:{text[: text.index('wanted')].count(chr(10)) + 1}: `wanted`"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param('"token-{n}",\n', id="strings"),
        pytest.param('{{ token = "t{n}", account = "a" }},\n', id="tables"),
        pytest.param("# {n}\n\n", id="comments"),
    ],
)
def test_a_line_is_found_in_a_long_file_by_parsing_it_a_few_times(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    loads = tomllib.loads

    def counted(text: str) -> dict[str, Any]:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(config.tomllib, "loads", counted)
    entries = "".join(entry.format(n=n) for n in range(2000))
    text = f"port = 1\ntokens = [\n{entries}]\ncoolDown = 'x'\n"

    where = File("f", text, {}).where(("coolDown",))

    assert where == f"f:{text.count(chr(10))}: `coolDown`"
    assert len(parsed) <= 40


def test_a_place_is_looked_for_only_when_it_is_shown() -> None:
    class Counting:
        values: ClassVar[dict[str, Any]] = {"tokens": ["a"] * 3}
        looks = 0

        def where(self, key: config.Key) -> str:
            assert key[0] == "tokens"
            self.looks += 1
            return "here"

    source = Counting()
    settings = Settings(source)

    places = [settings.where(("tokens", n)) for n in range(3)]
    found = [config.secrets("s3cret", place) for place in places]
    before = source.looks
    shown = str(places[2])

    assert found == [["s3cret"]] * 3
    assert (before, shown, source.looks) == (0, "here", 1)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        pytest.param("rateLimt", "rateLimit", id="misspelt"),
        pytest.param("rate-limit", "rateLimit", id="dashes"),
        pytest.param("RATE_LIMIT", "rateLimit", id="another convention"),
        pytest.param("colour", None, id="nothing like it"),
    ],
)
def test_the_nearest_key_is_found(word: str, found: str | None) -> None:
    assert config.nearest(word, ["rateLimit", "coolDown", "port"]) == found


def test_a_file_of_secrets_gives_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# of the team\nfirst\n\n  second  \r\n")

    found = config.secrets(f"file:{path}", "here")

    assert found == ["first", "second"]


@pytest.mark.parametrize(
    "text", ["\"first\"\n'second'", '["first", "second"]', "first # 1\nsecond"]
)
def test_a_file_of_secrets_may_be_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens").write_text(text, "utf-16")

    assert config.secrets(f"file:{tmp_path / 'tokens'}", "here") == ["first", "second"]


@pytest.mark.parametrize(
    "text", [" s3cret\n", '"s3cret"', "'s3cret'", '["s3cret"]', "s3cret # ours"]
)
def test_a_variable_gives_a_secret(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("A_SECRET", text)

    assert config.secrets("env:A_SECRET", "here") == ["s3cret"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        pytest.param(
            "env:NOT_SET_AT_ALL", "here: the environment variable NOT_SET_AT_ALL is", id="env"
        ),
        pytest.param(
            "file:/nowhere/at/all", "here: /nowhere/at/all: cannot be read: No such", id="file"
        ),
        pytest.param("file:/a\0b", "no path holds a null character", id="null"),
        pytest.param("file:/dev/null", "here: /dev/null holds no secret", id="empty file"),
        pytest.param(" ", "here: is empty", id="empty"),
        pytest.param("two words", "here: a secret is ASCII without spaces", id="a space"),
        pytest.param("clé", "here: a secret is ASCII without spaces", id="not ASCII"),
    ],
)
def test_what_is_no_secret_is_refused(reference: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.secrets(reference, "here")

    assert message in str(caught.value)


def test_variables_that_secrets_refer_to_are_found_at_any_depth() -> None:
    values = {"tokens": ["env:A", {"token": "env:B"}, "plain"], "redisUrl": "env:C", "port": 1}

    assert Settings(File("f", "", values)).secret_variables() == {"A", "B", "C"}


def test_a_variable_counts_as_secret_even_if_another_source_wins() -> None:
    file = File("f", "", {"tokens": ["env:A"]})
    flags = Given({"tokens": ["given"]}, {"tokens": "--tokens"})

    assert Settings(file, flags).secret_variables() == {"A"}


def test_a_fingerprint_is_another_for_another_purpose() -> None:
    fingerprints = {config.fingerprint("secret", person) for person in (b"one", b"two")}

    assert len(fingerprints) == 2
    assert all(len(each) == 16 for each in fingerprints)


def test_settings_pass_through_a_descriptor_that_is_then_closed() -> None:
    settings = Sample(rate_limit=9, bot={"a": "A"})

    fd = config.write_settings(settings)
    inheritable = os.get_inheritable(fd)
    received = read_settings(fd, Sample)

    assert received == settings
    assert not inheritable
    with pytest.raises(OSError):
        os.fstat(fd)


@pytest.mark.parametrize(
    ("url", "valid"),
    [
        pytest.param("redis://host:1/0", True, id="right"),
        pytest.param("http://host", False, id="another scheme"),
        pytest.param("redis://", False, id="no place"),
        pytest.param("host:6379", False, id="no scheme"),
    ],
)
def test_a_url_is_checked_and_never_shown(url: str, valid: bool) -> None:
    if valid:
        assert config.checked_url(url + "/", ["redis", "unix"], "here") == url
        return

    with pytest.raises(ConfigError) as caught:
        config.checked_url(url, ["redis", "unix"], "here")

    assert str(caught.value) == "here: expected redis://… or unix://…"
