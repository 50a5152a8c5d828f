"""Any value of any setting is taken or refused with its place: nothing else comes out of it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from admin.config import AdminConfig, admin_config
from contract.config import ConfigError, File, Settings, keys_of, read_settings, write_settings
from gateway.config import GatewayConfig, gateway_config
from worker.config import WorkerConfig, worker_config

KEYS = sorted(
    {key for type_ in (GatewayConfig, WorkerConfig, AdminConfig) for key in keys_of(type_)}
)
VALUES = [
    *('""', '" "', '"x"', r'"\u0000"', '"é"', '"“a”"', '"env:A b"', "true", "2027-01-01", "[]"),
    *("0", "-1", "1", "1.0", "1.5", "nan", "-nan", "inf", "-inf", "1e400", "9" * 30),
    *("[1]", '[""]', '["x"]', '["env:"]', '["env:NOPE"]', '["file:"]', r'["file:\u0000"]', "[{}]"),
    *('[{token="x"}]', '[{key="x"}]', '[{key="x",expires=9999-12-31}]', '[["x"]]', '["file:/"]'),
    *('[{key="x",expires=0001-01-01}]', '[{key="x",expires=2027-12-31T00:00:00Z}]'),
    *('[{key="x",weight=nan}]', '[{token="x",coolDown=nan}]', '[{token="x",account=""}]'),
    *("{}", "{a=1}", '{a="x"}', '{a=""}', "{a={}}", '{a={protocol="x"}}', "{a={x=1}}"),
    *("{A={},a={}}", '"http://"', '"http://a b"', '"http://[::1"', '"http://h:99999"'),
    *('"redis://h:x"', '"redis://[::1]"', '"unix://"', '"redis+sentinel://"', '"rediss://["'),
]


def outcome(read: Any, file: File) -> object:
    try:
        made = read(Settings(file))
    except ConfigError as error:
        return str(error)
    return read_settings(write_settings(made), type(made))


def first(read: Any) -> Any:
    return lambda settings: read(settings)[0]


@pytest.mark.parametrize("key", KEYS)
def test_any_value_is_taken_or_refused(key: str) -> None:
    for value in VALUES:
        text = f"{key} = {value}\n"
        file = File("c.toml", text, tomllib.loads(text))
        for read in (first(gateway_config), first(worker_config), admin_config):
            said = outcome(read, file)
            assert not isinstance(said, str) or "c.toml" in said or f"`{key}" in said, said
