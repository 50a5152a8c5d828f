"""Reads the configuration again for one running gateway or worker, and prints its part.

`python -m poe2gpt.reread --source-fd N`, started by that process: see `runtime.reloading`. What it
prints is for that process only. A mistake in the configuration is one line on stderr, and status 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from contract import config
from contract.config import ConfigError, Given, Settings, keys_of, read_data, write_data
from gateway.config import GatewayConfig, gateway_config
from poe2gpt.become import with_tokens
from poe2gpt.flags import Flags
from poe2gpt.settings import SECRET_VARIABLES, settings, variables_of
from runtime.reloading import Files, packed_source, signatures, unpacked_source
from worker.config import WorkerConfig

NOTHING: Mapping[str, Any] = MappingProxyType({})

Role = Literal["gateway", "worker"]

_TYPES: dict[Role, type] = {"gateway": GatewayConfig, "worker": WorkerConfig}


class Source(msgspec.Struct, frozen=True):
    """Where one process has its settings from, with no secret that is not its own."""

    role: Role
    config: str | None
    """The path of the file."""
    values: dict[str, Any]
    names: dict[str, str]
    """The flags that were given."""
    named_by: str
    """What tells one `fingerprintKey` from another."""
    environment: dict[str, str]
    defaults: dict[str, Any] = {}
    """What holds where no source says anything."""

    def settings(self) -> tuple[Settings, str]:
        """Read the settings anew. Raises ConfigError."""
        given = Given(self.values, self.names)
        read, file = settings(Flags(self.role, self.config, 0, given), self.environment)
        return read.with_defaults(self.defaults), file


def source_of(
    role: Role,
    flags: Flags,
    environment: Mapping[str, str],
    read: Settings,
    file: str,
    *,
    defaults: Mapping[str, Any] = NOTHING,
) -> int:
    """Write down where a process has its settings from, and return the descriptor of that.

    `read` are the settings as they are now, and `file` names their file.
    """
    own = keys_of(_TYPES[role])
    others = read.secret_variables([key for key in read.values if key not in own])
    kept = set(environment) - others - SECRET_VARIABLES
    kept |= variables_of(own) | read.secret_variables(own)
    values = {key: value for key, value in flags.given.values.items() if key in own}
    source = Source(
        role,
        str(Path(file).absolute()) if file != "no file" else None,
        values,
        {key: flags.given.names[key] for key in values},
        _named_by(read.with_defaults(defaults)),
        {name: environment[name] for name in kept & set(environment)},
        {key: value for key, value in defaults.items() if key in own},
    )
    return write_data(packed_source(signatures(files_of(source, read)), source))


def files_of(source: Source, read: Settings) -> dict[str, None]:
    """Return the files that the settings of a process come from."""
    own = keys_of(_TYPES[source.role])
    return dict.fromkeys([*filter(None, [source.config]), *sorted(read.files(own))])


def _named_by(read: Settings) -> str:
    key = config.fingerprint_key(read, read.values.get("fingerprintKey", ""))
    return config.fingerprint(key, b"p2g-fingerprint-key")


def _settings_of(source: Source) -> tuple[Files, msgspec.Struct]:
    """Read the settings of a process. Raises ConfigError, also for what cannot change by now."""
    read, _ = source.settings()
    if _named_by(read) != source.named_by:
        raise ConfigError(
            "`fingerprintKey` has changed, and cannot while anything runs: see config.example.toml"
        )
    files = signatures(files_of(source, read))
    made, _ = gateway_config(read) if source.role == "gateway" else with_tokens(read)
    return files, made


def main() -> None:
    """Print the files and the settings, encoded."""
    source: Source = unpacked_source(read_data(int(sys.argv[2])), Source)
    # What `env:NAME` refers to is in the source.
    os.environ.clear()
    os.environ.update(source.environment)
    try:
        files, made = _settings_of(source)
    except ConfigError as error:
        print(f"poe2gpt: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Exception as error:
        # Its text may hold anything, a secret too.
        print(f"poe2gpt: this is a bug, please report it: {type(error).__name__}", file=sys.stderr)
        raise SystemExit(1) from None
    sys.stdout.buffer.write(msgspec.msgpack.encode((files, msgspec.msgpack.encode(made))))


if __name__ == "__main__":
    main()
