"""Compressed bodies: any way in which they come gives the same bytes, and no step is large."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inflate import MAX_FRAMES, STEP, Inflater, inflater_of
from gateway.problems import Kind, Problem

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}
each_encoding = pytest.mark.parametrize("encoding", COMPRESS)


def expanded(inflater: Inflater, *pieces: bytes) -> bytes:
    made = [each for piece in pieces for each in inflater.feed(piece)]
    inflater.finish()
    return b"".join(made)


@each_encoding
@given(body=st.binary(max_size=400), size=st.integers(1, 50), frames=st.integers(1, 3))
def test_a_body_is_the_same_however_it_is_cut(
    encoding: str, body: bytes, size: int, frames: int
) -> None:
    data = COMPRESS[encoding](body) * frames
    pieces = [data[at : at + size] for at in range(0, len(data), size)]

    assert expanded(Inflater(encoding), *pieces) == body * frames


@each_encoding
@pytest.mark.parametrize("size", [STEP - 1, STEP, STEP + 1, 3 * STEP, 1_000_000])
def test_a_step_is_small_however_much_a_body_expands(encoding: str, size: int) -> None:
    inflater = Inflater(encoding)

    steps = list(inflater.feed(COMPRESS[encoding](b"a" * size)))

    inflater.finish()
    assert b"".join(steps) == b"a" * size
    assert max(map(len, steps)) <= STEP


@each_encoding
@pytest.mark.parametrize("cut", [1, 5, -1])
def test_a_body_that_is_not_whole_is_refused(encoding: str, cut: int) -> None:
    with pytest.raises(Problem, match=f"not valid {encoding}, or is not whole"):
        expanded(Inflater(encoding), COMPRESS[encoding](b'{"model": "m"}')[:cut])


@each_encoding
@pytest.mark.parametrize("body", [b'{"model": "m"}', b"\x28\xb5\x2f\xfd\xff\xff", b"\x1f\x8b\x00"])
def test_what_is_not_of_its_encoding_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(Problem, match=f"not valid {encoding}"):
        expanded(Inflater(encoding), body)


@each_encoding
def test_a_body_of_countless_empty_frames_is_refused(encoding: str) -> None:
    data = COMPRESS[encoding](b"") * MAX_FRAMES + COMPRESS[encoding](b'{"model": "m"}')

    with pytest.raises(Problem, match="more than 1000"):
        expanded(Inflater(encoding), data)


def test_a_frame_that_needs_too_much_memory_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    data = compressor.compress(b"a" * 100) + compressor.flush()

    with pytest.raises(Problem, match="not valid zstd"):
        expanded(Inflater("zstd"), data)


@pytest.mark.parametrize("header", ["", "identity", "Identity , "])
def test_a_body_may_come_as_it_is(header: str) -> None:
    assert inflater_of(header) is None


@pytest.mark.parametrize("header", ["GZIP", " zstd", "identity, gzip", "x-gzip"])
def test_encodings_are_found_by_their_names(header: str) -> None:
    assert inflater_of(header) is not None


@pytest.mark.parametrize("header", ["br", "gzip, zstd", "aws-chunked", "gzip;q=1"])
def test_other_encodings_and_several_are_refused(header: str) -> None:
    with pytest.raises(Problem) as caught:
        inflater_of(header)

    assert caught.value.kind is Kind.UNSUPPORTED_ENCODING
    assert "gzip, deflate, zstd" in caught.value.message
