"""A hub for a test: the machine it runs on, and the people of a class at its HTTP door."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "jupyterhub"
TEACHER = "hubtest-teacher"
STUDENTS = ("hubtest-ada", "hubtest-bob", "hubtest-eve")
OUTSIDER = "hubtest-outsider"  # has an account, and is of no class
NAME = "a1_roi"
AS_ROOT = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a hub has accounts of the system, which root makes: .ci/run"
)


def password_of(name: str) -> str:
    return f"password of {name}"


@dataclass
class Machine:
    """The copy of this machine that ``machine.sh`` boots."""

    init: int  # its process 1, as this machine numbers it
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *command: str, text: str = "") -> str:
        """Run a command there as root."""
        enter = ["nsenter", "--target", str(self.init), "--all", "--root", "--wd"]
        done = subprocess.run(
            [*enter, *command], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
        return done.stdout

    @property
    def root(self) -> Path:
        """Its file system, seen from here."""
        return Path(f"/proc/{self.init}/root")

    def configure(self, **settings: str) -> None:
        """Write the settings of the hub, with a port of its own."""
        lines = [f"{name}={value}" for name, value in {"HUB_PORT": str(self.port), **settings}.items()]
        (self.root / "etc/jupyterhub.env").write_text("\n".join(lines) + "\n")

    def wait_for_hub(self) -> None:
        def answers() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"{self.url}/hub/api/", timeout=10).ok
            return False

        until(answers, "the hub answers", self)


@dataclass
class Person:
    """Somebody who logs in with a password and works in a server of their own."""

    machine: Machine
    name: str
    password: str
    session: requests.Session = field(default_factory=requests.Session)
    kernel: str = ""

    def log_in(self) -> requests.Response:
        """Fill in the form of the hub's page."""
        page = self.session.get(f"{self.machine.url}/hub/login")
        hidden = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert hidden, page.text
        form = {"username": self.name, "password": self.password, "_xsrf": hidden[1]}
        return self.session.post(f"{self.machine.url}/hub/login", data=form, allow_redirects=False)

    def start(self) -> "Person":
        """Log in and start the server."""
        assert self.log_in().status_code == 302
        headers = {"X-XSRFToken": self.session.cookies.get("_xsrf", path="/hub/")}
        tokens = f"{self.machine.url}/hub/api/users/{self.name}/tokens"
        answer = self.session.post(tokens, headers=headers, json={})
        assert answer.ok, answer.text
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"token {answer.json()['token']}"
        self.hub("POST", "server")
        until(lambda: self.hub("GET").json()["server"], f"the server of {self.name}", self.machine)
        return self

    def hub(self, method: str, path: str = "") -> requests.Response:
        answer = self.session.request(method, f"{self.machine.url}/hub/api/users/{self.name}/{path}".rstrip("/"))
        assert answer.ok, answer.text
        return answer

    def ask(self, method: str, path: str, whose: str = "", **content: Any) -> requests.Response:
        """Ask a server, one's own if nobody else's is named."""
        return self.session.request(method, f"{self.machine.url}/user/{whose or self.name}/{path}", **content)

    def api(self, method: str, path: str, **content: Any) -> Any:
        answer = self.ask(method, f"api/{path}", **content)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def run(self, code: str) -> str:
        """Run code in a kernel of the person's server; what it printed and, in its last line, any error."""
        self.kernel = self.kernel or self.api("POST", "kernels", json={"name": "python3"})["id"]
        address = f"ws{self.machine.url[4:]}/user/{self.name}/api/kernels/{self.kernel}/channels"
        door = websocket.create_connection(
            address, header={"Authorization": self.session.headers["Authorization"]}, timeout=120
        )
        with contextlib.closing(door):
            header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": "test"}
            content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
            message = {"header": {**header, "version": "5.3"}, "parent_header": {}, "metadata": {}, "content": content}
            door.send(json.dumps({**message, "channel": "shell"}))
            return "".join(_printed(door, header["msg_id"]))

    def sh(self, command: str) -> str:
        """Run a shell's command there."""
        return self.run(f"!{command}")


def _printed(door: websocket.WebSocket, request: str) -> Iterator[str]:
    """What a request printed, until its kernel is idle again or has died."""
    while True:
        message = json.loads(door.recv())
        content, kind = message["content"], message["msg_type"]
        if kind == "status" and content["execution_state"] in ("restarting", "dead"):
            yield "the kernel died"
            return
        if message["parent_header"].get("msg_id") != request:
            continue
        if kind == "stream":
            yield content["text"]
        elif kind == "error":
            yield f"\n{content['ename']}: {content['evalue']}"
        elif kind == "status" and content["execution_state"] == "idle":
            return


def until(ready: Any, what: str, machine: Machine, seconds: float = 240) -> None:
    """Wait; where it takes too long, show the hub's log."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            lines = machine.run("journalctl", "-n", "3000").splitlines()
            told = "\n".join([line for line in lines if "GET /hub/api/users" not in line][-100:])
            raise AssertionError(f"{what}: not within {seconds:.0f} s\n{told}")
        time.sleep(1)


def free_port() -> int:
    """A port that is free, as are the two after it."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = stack.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", 0)))).getsockname()[1]
            for port in (first + 1, first + 2):
                stack.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", port))))
            return first


@contextlib.contextmanager
def booted() -> Iterator[Machine]:
    """The machine, until the block ends, or this process does."""
    script = [str(Path(__file__).with_name("machine.sh")), str(ROOT)]
    with subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *script], stdout=subprocess.PIPE, text=True) as process:
        init = process.stdout.readline()
        assert init, "the machine did not start: what it says stands above"
        try:
            yield Machine(int(init), free_port())
        finally:
            process.send_signal(signal.SIGTERM)
