"""The socket that listens, and how it stops without losing a connection."""

from __future__ import annotations

import ctypes
import socket
import struct

_BACKLOG = 1024  # connections that wait to be taken
_SO_ATTACH_FILTER = 26  # Linux; Python's socket module does not name it
# A program of the kernel's packet filter (BPF) over TCP headers: 0 drops a packet, other numbers keep so many bytes.
_FLAGS, _SYN = 13, 0x02  # the offset of the byte with the flags; the flag of a packet that asks for a connection
_WITHOUT_SYN = (
    (0x30, 0, 0, _FLAGS),  # load the byte
    (0x45, 0, 1, _SYN),  # skip one if the flag is not set
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, and does not block.

    Raises:
        OSError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends answers without delay only on sockets that say that they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def begin_no_handshake(listener: socket.socket) -> None:
    """From here on the kernel takes no new connection; those whose handshake has begun still come to be accepted.

    Closing the socket would reset all that it holds at that moment: connections which their clients think are made,
    and on which they may have sent a whole request. A client that comes now hears nothing, asks again after a second,
    and is refused if the socket is closed by then.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _WITHOUT_SYN))
    described = struct.pack("HP", len(_WITHOUT_SYN), ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except OSError:  # a kernel without filters: what is left of the risk is that of the moment before closing
        return
