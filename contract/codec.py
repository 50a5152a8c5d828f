"""Messages as bytes, and back."""

from __future__ import annotations

import msgspec

from contract.messages import Catalogue, Frame, Job, Record, WorkerReport

encode = msgspec.msgpack.Encoder().encode

# Each raises msgspec.DecodeError for what another version has written in a way that we cannot read.
decode_job = msgspec.msgpack.Decoder(Job).decode
decode_record = msgspec.msgpack.Decoder(Record).decode
decode_frame = msgspec.msgpack.Decoder(Frame).decode
decode_report = msgspec.msgpack.Decoder(WorkerReport).decode
decode_catalogue = msgspec.msgpack.Decoder(Catalogue).decode
