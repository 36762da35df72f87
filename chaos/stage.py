"""Where a trial takes place: a home, a database, an artifact folder, a ledger, and the processes of one way to run."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import make_url

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import Settings, settings
from mirror_realm.core.status import InstanceStatus
from mirror_realm.deployments.cluster import Cluster, open_cluster
from mirror_realm.deployments.library import library_of
from mirror_realm.deployments.prefect_server import ensure_server
from mirror_realm.deployments.registration import register
from mirror_realm.store import NewInstance, Store
from mirror_realm.tasks import registry

from .ledger import Ledger
from .proxy import Proxy
from .zygote import PATIENCE, Forked, Zygote

ROOT = Path(__file__).parent.parent
WAYS = ("run", "serve", "dask", "prefect")
"""``realm run`` and ``realm instances resume``; ``realm serve`` on threads; the dispatcher on Dask; ``realm serve``
with Prefect and Dask."""
STOP = 25.0
"""Seconds that a process may take to end in order."""


def prepare() -> None:
    """Let this process and those that it starts know the campaign's node types."""
    os.environ["MIRROR_REALM_NODES"] = "chaos.nodes"
    os.environ["PYTHONPATH"] = _path()
    settings.cache_clear()
    registry.cache_clear()


class Stage:
    """One trial's place: an instance of each definition for each of the ``inputs``; ``inner`` are definitions that they
    name. ``small`` names a folder to be filled. ``registered`` are definitions that are registered before, ``later``
    those that are meanwhile; ``patience``, where given, is how long a serving process keeps what only waits."""

    def __init__(
        self,
        folder: Path,
        way: str,
        database: str,
        definitions: Sequence[dict[str, Any]],
        *,
        inputs: Sequence[dict[str, Any]] = ({"never": False},),
        small: str = "",
        inner: Sequence[dict[str, Any]] = (),
        registered: Sequence[dict[str, Any]] = (),
        later: Sequence[dict[str, Any]] = (),
        patience: float | None = None,
    ) -> None:
        self._inputs = inputs
        self._registered, self._later, self._patience = registered, list(later), patience
        self.way, self.database = way, database
        self.home, self.temporary = folder / "home", folder / "tmp"
        self.artifacts = folder / "artifacts"
        self.ledger = Ledger(folder / "ledger")
        self.files = [folder / f"{definition['name']}.json" for definition in definitions]
        self.process: Forked | None = None
        self.zombies: list[Forked] = []
        self.cluster: Cluster | None = None
        self.proxies: dict[str, Proxy] = {}
        self.instance_ids: list[str] = []
        self.canceled: dict[str, bool] = {}
        """The instances that a person canceled, and whether all that they did was to be undone."""
        self.starts = 0
        self._forked: list[Forked] = []
        self._stack = ExitStack()
        self._log = folder / "log"
        for one in (self.home, self.temporary, self.artifacts):
            one.mkdir(parents=True)
        self.small = {"home": self.home, "artifacts": self.artifacts}.get(small)
        """A folder with a file system of its own that can be filled."""
        if self.small is not None:
            _mount(self.small)
            self._stack.callback(_unmount, self.small)
        for file, definition in zip(self.files, definitions, strict=True):
            file.write_text(json.dumps(definition), encoding="utf-8")
        for definition in inner:
            (folder / f"{definition['name']}.json").write_text(json.dumps(definition), encoding="utf-8")
        self.url, direct = self._open_database()
        self.settings = Settings(
            home=self.home, database_url=self.url, artifacts=str(self.artifacts), nodes=("chaos.nodes",),
            roots=(folder,), workers=2,
        )  # fmt: skip
        try:
            self._begin(direct)
        except BaseException:
            self.close()
            self.leave()
            raise

    def _begin(self, direct: str) -> None:
        if self.database == "sqlite":
            shutil.copyfile(_made_once(_empty_database), self.home / "realm.db")
        if self.way == "prefect":
            shutil.copytree(_made_once(_prefect_folder), self.home / "prefect")
        with _making:  # Alembic migrates one database of a process at a time.
            self.store = self._stack.enter_context(Store.open(direct))
        self._register(self._registered)
        if self.way != "run":
            for file in self.files:
                analysis = analyze(file, library=library_of(file, self.store))
                register(analysis, self.store, self.settings, source=str(file))
                for given in self._inputs:
                    new = NewInstance(workflow=file.stem, version="1.0.0", input=given, trigger_type="manual")
                    self.instance_ids.append(self.store.instances.create(new)[0].id)
        if self.way == "dask":
            self.start_cluster()

    def _register(self, definitions: Sequence[dict[str, Any]]) -> None:
        """Register definitions that lie nowhere as files."""
        for definition in definitions:
            library = library_of(self.files[0], self.store)
            analysis = analyze("registered.json", text=json.dumps(definition), library=library)
            register(analysis, self.store, self.settings)

    def register_later(self) -> None:
        """Register what is to be registered while the instances run."""
        later, self._later = self._later, []
        self._register(later)

    def _open_database(self) -> tuple[str | None, str]:
        """The URL for the product (through a proxy, where it is a server), and the one for looking on."""
        if self.database == "sqlite":
            return None, f"sqlite:///{self.home / 'realm.db'}"
        from tests.postgres import fresh_database

        direct = make_url(self._stack.enter_context(fresh_database()))
        proxy = self.proxies["database"] = Proxy((direct.host or "127.0.0.1", direct.port or 5432))
        self._stack.callback(proxy.close)
        through = direct.set(host="127.0.0.1", port=proxy.port)
        return through.render_as_string(hide_password=False), direct.render_as_string(hide_password=False)

    @property
    def environment(self) -> dict[str, str]:
        """What the product's processes get."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MIRROR_REALM_", "PREFECT_"))
        }
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        url = {"MIRROR_REALM_DATABASE_URL": self.url} if self.url else {}
        url |= {PATIENCE: str(self._patience)} if self._patience is not None else {}
        return kept | url | {
            "MIRROR_REALM_HOME": str(self.home),
            "MIRROR_REALM_ARTIFACTS": str(self.artifacts),
            "MIRROR_REALM_NODES": "chaos.nodes",
            "MIRROR_REALM_ROOTS": str(self.home.parent),
            "MIRROR_REALM_WORKERS": "2",
            "PYTHONPATH": _path(),
            "TMPDIR": str(self.temporary),
        }  # fmt: skip

    # Processes

    def start(self, *, take: bool = False) -> None:
        """Start what runs the instance, as a person or a supervisor does after a fault; ``take`` it from a process that
        still seems to run it."""
        self.starts += 1
        command = self._command(take)
        with self._log.open("ab") as log:
            log.write(f"--- start {self.starts} at {time.time():.2f}: {command}\n".encode())
        self.process = _zygote().fork(command, self.environment, self._log)
        self._forked.append(self.process)

    def _command(self, take: bool) -> list[str]:
        if self.way == "dask":
            scheduler = self.proxies["scheduler"].port
            return ["chaos.dispatching", f"tcp://127.0.0.1:{scheduler}"]
        if self.way == "serve":
            return ["realm", "serve", "--engine", "local"]
        if self.way == "prefect":
            return ["realm", "serve"]
        if (id := self.found()) is None:
            return [
                "realm",
                "run",
                str(self.files[0]),
                "--engine",
                "local",
                "--json",
                "--input",
                "never=false",
            ]
        canceled = self.store.instances.get(id).status is InstanceStatus.CANCELED
        verb = "retry" if canceled else "resume"
        force = ["--force"] if take and not canceled else []
        return ["realm", "instances", verb, id, "--engine", "local", "--json", *force]

    def found(self) -> str | None:
        """The instance's id, once it is there."""
        if not self.instance_ids:
            made = self.store.instances.list(limit=2)
            assert len(made) < 2, "more than one instance was made"
            self.instance_ids = [made[0].id] if made else []
        return self.instance_ids[0] if self.instance_ids else None

    @property
    def dead(self) -> bool:
        """Whether nothing runs the instance."""
        return self.process is None or self.process.poll() is not None

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the process that runs the instance, if it lives."""
        if not self.dead:
            assert self.process is not None
            self.process.send_signal(signum)

    def stop(self) -> bool:
        """End it in order, with its zombies; whether it went."""
        went = True
        for process in [*self.zombies, *([self.process] if self.process else [])]:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                if self.way != "run":
                    process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                went = False
                process.kill()
                process.wait()
        return went

    def start_cluster(self) -> None:
        """Start a Dask cluster behind the scheduler's proxy, or another one in place of one that died."""
        self.cluster = open_cluster(self.settings, processes=2)
        host, _, port = self.cluster.address.rpartition(":")
        target = (host.removeprefix("tcp://"), int(port))
        if (proxy := self.proxies.get("scheduler")) is None:
            proxy = self.proxies["scheduler"] = Proxy(target)
            self._stack.callback(proxy.close)
        proxy.target = target

    def mine(self) -> list[psutil.Process]:
        """Every process of this trial but the campaign's own."""
        forked = {
            one.pid for one in self._forked if one.poll() is None
        }  # With the environment of their zygote.
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                same = process.pid in forked or process.environ().get("MIRROR_REALM_HOME") == str(self.home)
                if same and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def named(self, word: str) -> list[psutil.Process]:
        """Processes of this trial by a word of their command line."""
        found = []
        for process in self.mine():
            with contextlib.suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def log(self) -> str:
        """What the processes said."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def close(self) -> list[str]:
        """End everything, by force where it must be; the processes that should not have been there any more."""
        if self.cluster is not None:
            self.cluster.close()
        deadline = time.monotonic() + 5.0
        while (left := self.mine()) and time.monotonic() < deadline:
            time.sleep(0.1)
        told = []
        for process in left:
            with contextlib.suppress(psutil.Error):
                told.append(f"{process.pid}: {' '.join(process.cmdline())[:120]}")
                process.kill()
        return told

    def leave(self) -> None:
        """Give everything back."""
        self._stack.close()
        shutil.rmtree(self.home.parent, ignore_errors=True)


def _path() -> str:
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([str(ROOT), *filter(None, before)]))


_zygotes: list[Zygote] = []


def _zygote() -> Zygote:
    """This process's own."""
    with _making:
        if not _zygotes:
            _zygotes.append(Zygote(os.environ, ROOT))
            atexit.register(_zygotes[0].close)
        return _zygotes[0]


_made: dict[Callable[[Path], Path], Path] = {}
_making = threading.RLock()


def _made_once(make: Callable[[Path], Path]) -> Path:
    """What ``make`` made in a folder of this process's own."""
    with _making:
        if make not in _made:
            folder = Path(tempfile.mkdtemp(prefix="realm-chaos-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            _made[make] = make(folder)
        return _made[make]


def _empty_database(folder: Path) -> Path:
    """A database with all tables and no rows: the migrations are not what is tested here."""
    with Store.open(f"sqlite:///{folder / 'realm.db'}"):
        return folder / "realm.db"


def _prefect_folder(folder: Path) -> Path:
    """What a Prefect server keeps, after its first start, which takes long."""
    with ensure_server(Settings(home=folder), timeout=300):
        pass
    kept = folder / "prefect"
    for stray in (kept / "users", kept / "port", kept / "server.lock"):
        if stray.is_dir():
            shutil.rmtree(stray)
        else:
            stray.unlink(missing_ok=True)
    return kept


def can_mount() -> bool:
    """Whether file systems of a size can be made here, to be filled."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def _mount(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=True)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)
