"""A TCP proxy in the middle, whose connections can be dropped or held."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

CHUNK = 65536


class Proxy:
    """Passes bytes between its own port and ``target``. Threads, so that it works beside any event loop."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._ended = False
        self._sockets: set[socket.socket] = set()
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, name=f"proxy-{self.port}", daemon=True).start()

    def drop(self) -> None:
        """Close every connection and refuse new ones, until :meth:`heal`."""
        self._open.clear()
        with self._guard:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Let no byte through, and tell nobody, until :meth:`heal`."""
        self._flowing.clear()

    def heal(self) -> None:
        """Be a good proxy again."""
        self._open.set()
        self._flowing.set()

    def close(self) -> None:
        """End it."""
        self._ended = True
        self.drop()
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.ExitStack() as stack:
            if not self._open.is_set():
                return
            try:
                far = stack.enter_context(socket.create_connection(self.target, 5))
            except OSError:
                return
            pair = (near, far)
            with self._guard:
                self._sockets.update(pair)
            try:
                self._pass(near, far)
            except OSError:
                return
            finally:
                with self._guard:
                    self._sockets.difference_update(pair)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        while self._open.is_set():
            for one in select.select([near, far], [], [], 1.0)[0]:
                self._flowing.wait()
                if not (data := one.recv(CHUNK)):
                    return
                other[one].sendall(data)
