"""A client that speaks HTTP/2 by hand, to do what no gRPC library would: begin calls and leave them half open."""

import socket
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_INITIAL_WINDOW_SIZE = 4


class RawClient:
    """One connection. Every call of it stays open until `close`."""

    def __init__(self, port, window_bytes=None):
        """Connect.

        Args:
            port: On this machine.
            window_bytes: How much of a reply the server may send before it is read; None for the usual.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        settings = b"" if window_bytes is None else struct.pack(">HI", _INITIAL_WINDOW_SIZE, window_bytes)
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, settings))
        self._streams = iter(range(1, 1 << 31, 2))

    def begin(self, path):
        """Begin a call and send no message."""
        stream = next(self._streams)
        self._socket.sendall(_frame(_HEADERS, _END_HEADERS, stream, _headers(path)))
        return stream

    def call(self, path, message):
        """Begin a call with its one message."""
        body = b"\0" + struct.pack(">I", len(message)) + message
        self._socket.sendall(_frame(_DATA, _END_STREAM, self.begin(path), body))

    def close(self):
        self._socket.close()


def _frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _headers(path):
    """HPACK without an index: each header is a zero byte, then name and value, each behind its length."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    return b"".join(
        b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in header) for header in headers.items()
    )
