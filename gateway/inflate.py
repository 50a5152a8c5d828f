"""Bodies that came compressed (RFC 9110, 8.4.1), expanded step by step. Pure.

A few bytes can expand to a thousand times as many. So no step makes more than `STEP` bytes, and the
caller stops when there are enough.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from gateway.problems import malformed_encoding, too_many_frames, unsupported_encoding

STEP = 64 * 1024
"""The most bytes that one step makes; it takes about 0.1 ms."""

MAX_FRAMES = 1_000
"""Members or frames of one body. Each takes time even if it is empty; tools that cut a body into
frames cut it every 64 KiB or less often."""

_WINDOW = 23
"""8 MiB (2**23), the most that a body may refer back (RFC 9659)."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class _Zlib:
    """gzip or deflate, behind the interface of a zstd decompressor."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._rest = b""
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not (self.eof or self._rest or self._is_full)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        made = self._inner.decompress(self._rest + data, max_length)
        self._rest = self._inner.unconsumed_tail
        # zlib may have read all of it, and not written what it makes of the last few bytes.
        self._is_full = len(made) == max_length
        return made


def _zstd() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": _Zlib,
    "x-gzip": _Zlib,
    "deflate": _Zlib,
    "zstd": _zstd,
}

ENCODINGS = ("gzip", "deflate", "zstd")
"""What bodies may be compressed with."""


class Inflater:
    """Expands one body."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._open = _DECOMPRESSORS[encoding]
        self._inner = self._open()
        self._has_begun = False
        self._frames = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what more of the body expands to, in pieces of at most `STEP` bytes.

        Raises Problem for what is not of this encoding.
        """
        while data or not self._inner.needs_input:
            if self._inner.eof:  # what follows is another member or frame of the same body
                data = self._inner.unused_data + data
                if not data:
                    return
                self._begin_frame()
            try:
                made = self._inner.decompress(data, STEP)
            except (zlib.error, zstd.ZstdError) as error:
                raise malformed_encoding(self._encoding) from error
            data, self._has_begun = b"", True
            if made:
                yield made

    def _begin_frame(self) -> None:
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise too_many_frames(self._encoding, MAX_FRAMES)
        self._inner = self._open()

    def finish(self) -> None:
        """Raise Problem if the body is not whole."""
        if self._has_begun and not self._inner.eof:
            raise malformed_encoding(self._encoding)


def inflater_of(content_encoding: str) -> Inflater | None:
    """Return what expands a body with this header; None for one that came as it is.

    Raises Problem for an encoding that is not supported, or for several.
    """
    named = [each.strip().lower() for each in content_encoding.split(",")]
    encodings = [each for each in named if each not in ("", "identity")]
    if not encodings:
        return None
    if len(encodings) > 1 or encodings[0] not in _DECOMPRESSORS:
        raise unsupported_encoding(content_encoding, ENCODINGS)
    return Inflater(encodings[0])
