"""HTTP/2 as far as a load balancer needs it: frames in and out, and one call carried to another server.

``h2`` keeps the protocol's state (RFC 9113) and reads no socket; this reads and writes for it. Bytes of a
call are never looked into: what travels is gRPC, and who speaks it are its two ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

Headers = list[tuple[bytes, bytes]]

PREFACE = b"PRI"
"""What a client begins with that speaks HTTP/2 and asks nobody first."""

_READ_BYTES = 1 << 16

# What belongs to one connection and does not travel on.
_OWN = (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"proxy-connection")


class Wire:
    """One connection. Its events are read by one task; calls are written by any of the same loop."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client_side: bool
    ) -> None:
        # Any: h2 is only where the embedded cloud is, and not where types are checked.
        self.h2: Any = H2Connection(H2Configuration(client_side=client_side, header_encoding=None))
        self._reader = reader
        self._writer = writer
        self._room = asyncio.Event()
        self.h2.initiate_connection()
        self._flush()

    async def events(self, first: bytes = b"") -> AsyncIterator[Any]:
        """What the other side does, until it goes. Data are confirmed as they are read."""
        data = first or await self._reader.read(_READ_BYTES)
        while data:
            for event in self.h2.receive_data(data):
                if isinstance(event, events.WindowUpdated | events.RemoteSettingsChanged):
                    self._room.set()
                if isinstance(event, events.DataReceived) and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                yield event
            self._flush()
            data = await self._reader.read(_READ_BYTES)

    def headers(self, stream: int, headers: Headers, *, end: bool = False) -> None:
        self.h2.send_headers(stream, [item for item in headers if item[0] not in _OWN], end_stream=end)
        self._flush()

    async def data(self, stream: int, data: bytes) -> None:
        """Send as the other side makes room for it."""
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            self.h2.send_data(stream, data[:room])
            data = data[room:]
            self._flush()
            await self._writer.drain()

    def end(self, stream: int) -> None:
        self.h2.end_stream(stream)
        self._flush()

    def reset(self, stream: int) -> None:
        self.h2.reset_stream(stream)
        self._flush()

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write(self.h2.data_to_send())


class Call:
    """A request on its way: its headers, and what is still to come of its body; ``None`` ends it."""

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self.body: asyncio.Queue[bytes | None] = asyncio.Queue()


async def carry(call: Call, host: str, port: int, answered: Any) -> None:
    """Take ``call`` to a server and hand each event of the answer to ``answered``, in order.

    Raises ``OSError`` if nobody is there, or goes before the answer is whole.
    """
    reader, writer = await asyncio.open_connection(host, port)
    wire = Wire(reader, writer, client_side=True)
    stream: int = wire.h2.get_next_available_stream_id()
    sending: asyncio.Task[None] | None = None
    try:
        wire.headers(stream, call.headers)
        sending = asyncio.create_task(_send(wire, stream, call))
        async for event in wire.events():
            if isinstance(event, events.ConnectionTerminated):
                break
            if getattr(event, "stream_id", None) == stream:
                await answered(event)
                if isinstance(event, events.StreamEnded | events.StreamReset):
                    return
        raise ConnectionResetError("the target went before its answer was whole")
    finally:
        if sending is not None:
            sending.cancel()
        wire.close()


async def _send(wire: Wire, stream: int, call: Call) -> None:
    while (part := await call.body.get()) is not None:
        await wire.data(stream, part)
    wire.end(stream)


async def grpc_status(host: str, port: int, path: str) -> str | None:
    """What a unary call with an empty message ends with; ``None`` if it does not end by itself."""
    call = Call(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", f"{host}:{port}".encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        ]
    )
    call.body.put_nowait(bytes(5))
    call.body.put_nowait(None)
    found: list[str] = []

    async def answered(event: Any) -> None:
        for name, value in getattr(event, "headers", None) or ():
            if name == b"grpc-status":
                found.append(value.decode())

    await carry(call, host, port, answered)
    return found[-1] if found else None
