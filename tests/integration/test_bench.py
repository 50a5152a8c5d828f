"""The comparison with others runs, and checks what it measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import peers, upstream
from bench.compare import parsed
from bench.figures import render
from bench.load import Answer, WrongAnswer
from bench.upstream import Load
from tests.support.deployment import spawn

pytestmark = pytest.mark.skipif(
    upstream.why_missing() is not None, reason=str(upstream.why_missing())
)


async def test_a_comparison_tells_the_cost_of_each_part(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    child = await spawn(
        tmp_path / "bench.log",
        *(sys.executable, "-m", "bench.compare", "--rounds", "1", "--only", "poe2gpt,nginx"),
        *("--rows", "short answers, 1 client", "--json", str(figures)),
    )
    status = await child.process.wait()

    output = child.output()
    assert status == 0, output
    for part in (
        "gateway ms an answer",
        "worker ms an answer",
        "Redis ms an answer",
        "nginx proxy_pass",
    ):
        assert part in output
    assert figures.exists()


def test_an_answer_that_lacks_a_word_ends_the_comparison() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    event = b'data: {"choices":[{"delta":{"content":"w000001 "}}]}\n\ndata: [DONE]\n\n'
    answer = Answer(0.0, stream=True)
    answer.reads.append((1.0, head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)))

    answer.check(Load(1))

    with pytest.raises(WrongAnswer):
        answer.check(Load(2))


def test_a_table_tells_the_median_and_the_extremes() -> None:
    table = {"a row": {"a peer": {"CPU us a chunk": [1.0, 2.0, 4.0]}}}

    assert "CPU us a chunk 2 [1-4]" in render(table)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["--rows", "pacd"], "no row has 'pacd' in its name; they are:\n  20 paced streams"),
        (["--rows", "paced", "pacd"], "no row has 'pacd' in its name"),
        (["--quick", "--rows", "quiet"], "no row has 'quiet' in its name"),
        (["--only", "nginx,tensrzero"], "no peer 'tensrzero'; they are poe2gpt, nginx, tensorzero"),
        (["--rounds", "0"], "--rounds: expected 1 or more"),
        (["--json", "/nowhere/figures.json"], "--json: there is no directory /nowhere"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(
    line: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(line)

    assert ended.value.code == 2
    assert expected in capsys.readouterr().err


def test_what_is_named_is_measured() -> None:
    asked, all_ = parsed(["--only", "nginx", "--rows", "256", "clients"]), parsed(["--quick"])

    assert list(asked.only) == ["nginx"]
    assert [row.count for row in asked.rows] == [256, 64]
    assert list(all_.only) == list(peers.ALL)
    assert all(row.quick for row in all_.rows)
    assert parsed(["--only", ""]).only == {}
