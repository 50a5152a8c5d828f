"""How upstreams are found."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

import worker
from contract.config import ModelSettings, UpstreamName
from contract.messages import Job, Message, Options
from worker.policy.route import route
from worker.upstreams import UPSTREAMS, exported

TOY = """
from worker.bot.reader import BotReader
from worker.poe.upstream import Request, Upstream

UPSTREAM = Upstream(
    name="toy",
    request=lambda ask: Request("/toy", ask.job.model.encode()),
    reader=BotReader,
)
"""


def test_each_name_in_the_configuration_is_that_of_an_upstream() -> None:
    assert [each.name for each in UPSTREAMS.values()] == list(get_args(UpstreamName))


def test_a_new_upstream_is_a_folder_and_is_asked_only_where_it_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text(TOY)
    monkeypatch.setattr(worker, "__path__", [*worker.__path__, str(tmp_path)])
    toy = exported("toy")
    job = Job("j", "c", "m", (Message("user", "Hi"),), Options(max_tokens=5))

    monkeypatch.setitem(UPSTREAMS, "toy", toy)

    assert route(job, None, ModelSettings()) is UPSTREAMS["bot"]
    assert route(job, None, ModelSettings(protocol="toy")) is toy  # type: ignore[arg-type]
    assert toy.unkept(job.options) == job.options
