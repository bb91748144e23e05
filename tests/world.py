"""What a feature test does to the world: controllers that start and die, flows, messages, processes killed.

Words are those of the tests; each waits for its effect with a deadline. Only processes that belong to the private
stack of the test run are ever signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika

from nomadflows.artifact.shelf import Shelf
from nomadflows.broker.broker import Broker
from nomadflows.broker.wire import Crypto, new_id, platform_message
from nomadflows.cluster import Nomad
from nomadflows.model.component import ComponentVersion
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.names import FlowRef, input_key, vhost
from nomadflows.model.states import Event, Status
from nomadflows.packing import pack, read_component
from nomadflows.settings import Settings
from nomadflows.store import Store, requests
from nomadflows.vault import Vault

COMPONENTS = Path(__file__).parent / "components"


def eventually(what: str, condition: Callable[[], Any], seconds: float = 30, every: float = 0.05) -> Any:
    """The first true answer of a condition; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


def command(*words: str) -> Any:
    """What a command answers in JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "nomadflows", *words, "-o", "json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class World:
    """One private stack and what happens on it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.store = Store(settings.consul_addr, settings.consul_token)
        self.nomad = Nomad(settings.nomad_addr, settings.nomad_token, settings.nomad_cacert, settings.timeout)
        self.vault = Vault(settings.vault_addr, settings.vault_token)
        self._controllers: list[subprocess.Popen[bytes]] = []
        self._flows: list[FlowRef] = []

    # ── controllers ───────────────────────────────────────────────────────────────────────────────────────

    def start_controller(self, **variables: str) -> subprocess.Popen[bytes]:
        """A controller process, writing its log beside the test's files."""
        log = (self.folder / f"controller-{len(self._controllers)}.log").open("wb")
        environment = {**os.environ, **variables, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "nomadflows", "controller", "run", "--verbose"],
            env=environment,
            stdout=log,
            stderr=log,
        )
        log.close()
        self._controllers.append(process)
        return process

    def start_standby(self) -> subprocess.Popen[bytes]:
        """Another controller, once it watches the leader."""
        log = self.folder / f"controller-{len(self._controllers)}.log"
        process = self.start_controller()
        eventually("it stands by", lambda: "standing by" in log.read_text())
        return process

    def leader(self) -> str:
        """Who leads, as Consul says; "" if nobody does."""
        entry = self.store.client.get(self.store.keys.leader)
        return entry.value.decode() if entry and entry.session else ""

    def forget_leader(self) -> None:
        """End a dead controller's session now instead of by its time to live."""
        entry = self.store.client.get(self.store.keys.leader)
        if entry and entry.session:
            self.store.client.destroy_session(entry.session)

    def someone_leads(self, seconds: float = 30) -> None:
        eventually("a controller leads", self.leader, seconds)

    # ── flows ─────────────────────────────────────────────────────────────────────────────────────────────

    def deploy(self, name: str = "probe", version: str = "1.0.0", folder: Path | None = None) -> None:
        """Record a test component, unless it is known."""
        folder = folder or COMPONENTS / name
        descriptor = json.loads((folder / "component.json").read_text())
        if self.store.component(name, version) is None:
            self.store.put_component(ComponentVersion(name, version, "python", descriptor, {"path": str(folder)}))

    def deploy_folder(self, folder: Path) -> ComponentVersion:
        """What `component deploy` does, without the way over HTTP."""
        packed = self.folder / "component.tar.gz"
        made = pack(read_component(folder), folder, packed, sys.executable)
        with Shelf(self.settings.artifact_folder).receiving(made.location["artifact"]) as file:
            file.write(packed.read_bytes())
            file.keep()
        self.store.put_component(made)
        return made

    def install(self, folder: str) -> None:
        """Deploy a test component as a user would, unless it is known: npm's work is done once a run."""
        found = read_component(COMPONENTS / folder)
        if self.store.component(found.name, found.version) is None:
            self.deploy_folder(COMPONENTS / folder)

    def publish_flow(self, name: str, definition: dict[str, Any], **options: Any) -> FlowRef:
        ref = FlowRef(self.settings.workspace, name)
        parsed = FlowDefinition.from_json({"flow": name, **definition})
        requests.apply(self.store, ref, parsed.to_json(), by="test")
        requests.publish(self.store, ref, by="test", **options)
        if ref not in self._flows:
            self._flows.append(ref)
        return ref

    def flow_is_there(self, ref: FlowRef) -> None:
        """Made by a command: it ends with the test like the others."""
        if self.store.flow(ref) is not None and ref not in self._flows:
            self._flows.append(ref)

    def start_flow(self, name: str, definition: dict[str, Any], state: str = "Running") -> FlowRef:
        """Publish, start and wait."""
        ref = self.publish_flow(name, definition)
        requests.start(self.store, ref, by="test")
        self.flow_becomes(ref, state, 60)
        return ref

    def status(self, ref: FlowRef) -> Status:
        record = self.store.flow(ref)
        assert record is not None, f"flow {ref} is gone"
        return record.status.value

    def flow_becomes(self, ref: FlowRef, state: str, seconds: float = 30) -> Status:
        def reached() -> Status | None:
            status = self.status(ref)
            return status if status.state.value == state else None

        try:
            found: Status = eventually(f"flow {ref} is {state}", reached, seconds)
        except AssertionError as error:
            history = "\n".join(f"  {e.at} {e.state:10} {e.reason}: {e.message}" for e in self.events(ref)[-15:])
            raise AssertionError(f"{error}; it is {self.status(ref)}\n{history}") from None
        return found

    def events(self, ref: FlowRef) -> list[Event]:
        return self.store.events(ref)

    def stop_flow(self, ref: FlowRef, seconds: float = 60) -> None:
        requests.stop(self.store, ref, by="test")
        self.flow_becomes(ref, "Stopped", seconds)

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A confirming channel of the administrator in the workspace's vhost."""
        uri = f"{self.settings.amqp_uri}/{vhost(self.settings.workspace)}"
        connection = pika.BlockingConnection(pika.URLParameters(uri))
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            connection.close()

    def send(self, ref: FlowRef, numbers: range, step: str = "receive", pause: float = 0.0) -> None:
        """Numbered messages into a step of whichever version takes input now; each confirmed."""
        version = ref.version(self.status(ref).input_version)
        secret = self.vault.version_secret(version)
        crypto = Crypto(secret.crypto_password, secret.crypto_iv)
        with self.channel() as channel:
            for number in numbers:
                content = {"id": new_id(), "body": {"n": number}, "headers": {}}
                message = platform_message(
                    crypto, content, workspace=ref.workspace, flow=ref.flow, exec_id=version.job_id
                )
                channel.basic_publish(
                    version.exchange,
                    input_key(step),
                    message.body,
                    pika.BasicProperties(delivery_mode=2, headers=message.headers),
                    mandatory=True,
                )
                if pause:
                    time.sleep(pause)

    def in_work(self, ref: FlowRef, step: str) -> int:
        """Messages that a step's processes hold unacknowledged."""
        version = ref.version(self.status(ref).version)
        with Broker(self.settings.amqp_uri, self.settings.rabbitmq_api) as broker:
            return broker.totals(version, [step]).steps[step].unacked

    def seen(self, out: Path) -> Counter[int]:
        """How often each number was processed, by a probe's file."""
        if not out.exists():
            return Counter()
        return Counter(int(line.split()[0]) for line in out.read_text().splitlines() if line.split()[0].isdigit())

    def all_arrive(self, out: Path, numbers: range, seconds: float = 60) -> Counter[int]:
        def complete() -> Counter[int] | None:
            counts = self.seen(out)
            return counts if len(counts.keys() & set(numbers)) == len(numbers) else None

        try:
            found: Counter[int] = eventually("all messages arrive", complete, seconds, every=0.2)
        except AssertionError as error:
            missing = sorted(set(numbers) - self.seen(out).keys())
            raise AssertionError(f"{error}: {len(missing)} missing, such as {missing[:10]}") from None
        return found

    # ── processes ─────────────────────────────────────────────────────────────────────────────────────────

    def step_pids(self, ref: FlowRef, step: str | None = None) -> list[int]:
        """Step processes of a flow on this stack, found by the environment Nomad gave them."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            names = dict(line.split(b"=", 1) for line in environment if b"=" in line)
            ours = names.get(b"ELASTICIO_API_URI", b"").decode() == self.settings.component_api
            if not ours or (b"nomadflows.runtime" not in command and b"run.js" not in command):
                continue
            if names.get(b"ELASTICIO_FLOW_ID") == ref.flow.encode() and step in {
                None,
                names.get(b"ELASTICIO_STEP_ID", b"").decode(),
            }:
                found.append(int(entry.name))
        return found

    def kill_step(self, ref: FlowRef, step: str | None = None, number: int = signal.SIGKILL) -> int:
        """Signal the processes of a step; how many there were."""
        pids = self.step_pids(ref, step)
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        return len(pids)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Stop what the test started: flows by a controller, controllers by their id."""
        alive = [process for process in self._controllers if process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGCONT)
        try:
            self._stop_flows(alive)
        finally:
            self._end_controllers()

    def _stop_flows(self, alive: list[subprocess.Popen[bytes]]) -> None:
        active = [
            ref
            for ref in self._flows
            if (record := self.store.flow(ref)) and record.status.value.state.value != "Stopped"
        ]
        if not active:
            return
        if not alive:
            self.start_controller()
        for ref in active:
            requests.stop(self.store, ref, by="test")
        for ref in active:
            self.flow_becomes(ref, "Stopped", 90)

    def _end_controllers(self) -> None:
        for process in self._controllers:
            process.terminate()
        for process in self._controllers:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
