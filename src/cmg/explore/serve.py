"""An explorer on a port of this machine."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any

from cmg.errors import ConfigError
from cmg.explore.session import Session
from cmg.optional import optional

NEEDED = "cmg explore needs FastAPI: pip install 'cmg-torch[explore]'"
PORT, TRIED = 8765, 20
"""The first port that is tried, and how many beside it."""


def bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens.

    Args:
        host: Name or address of this machine.
        port: None is the first free one from :data:`PORT` on; 0 is any.

    Raises:
        ConfigError: the port is in use, or the host is not of this machine.
    """
    wanted = range(PORT, PORT + TRIED) if port is None else [port]
    for number in wanted:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, number))
            made.listen(128)
        except (OSError, OverflowError) as error:
            made.close()
            reason = str(getattr(error, "strerror", None) or error)
            continue
        return made
    at = f"port {port}" if port is not None else f"no port of {wanted[0]} to {wanted[-1]}"
    raise ConfigError(
        f"cannot listen on {host}, {at}: {reason}; leave --port out to take a free one, or say "
        "another"
    )


def serve(session: Session, listening: socket.socket, told: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        session: What is shown.
        listening: Of :func:`bound`.
        told: Told the address once it can be opened.

    Raises:
        ConfigError: FastAPI is not installed.
    """
    uvicorn = needed()
    from cmg.explore.app import make_app

    host, port = listening.getsockname()[:2]
    app = make_app(session, ("127.0.0.1", "localhost", "::1", host))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    shown = f"[{host}]" if ":" in host else host
    # Uvicorn raises what ended it once more when it has ended; nothing is left to stop then.
    ends = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in ends}
    try:
        told(f"http://{shown}:{port}/")
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def needed() -> Any:
    """The packages of an explorer; the server is returned.

    Raises:
        ConfigError: they are not installed.
    """
    for name in ("fastapi", "python_multipart"):
        optional(name, NEEDED)
    return optional("uvicorn", NEEDED)
