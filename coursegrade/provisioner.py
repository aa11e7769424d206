"""The sandbox for whole kernels: plain ``nbgrader autograde``, and Validate on a server that many share.

``JUPYTER_DEFAULT_PROVISIONER_NAME=coursekit-sandbox nbgrader autograde …`` starts every kernel of this environment in
bubblewrap: no network, no home, nothing writable but a scratch in memory and the folder of the notebook's own
sockets. Tests and a student's code share the kernel there, as they always do in nbgrader: it keeps the computer and
the others safe, not the marks.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner
from sqlalchemy import make_url

from .directory import course, is_course, places
from .worker.sandbox import bubblewrap, environment, works


def around(folder: Path) -> tuple[str, ...]:
    """The private places of the course that a folder lies in, and its gradebook; none outside a course."""
    around_it = (folder.resolve(), *folder.resolve().parents)
    roots = [place for place in around_it if is_course(place)]
    if not roots:
        return ()
    api = course(roots[0])
    database = make_url(api.coursedir.db_url).database
    return (*places(api), *([str(Path(database).resolve())] if database else []))


class SandboxProvisioner(LocalProvisioner):  # type: ignore[misc]
    """A local kernel in a box, talked to over Unix sockets."""

    folder: Path | None = None

    async def pre_launch(self, **settings: Any) -> dict[str, Any]:
        """Sockets in a folder of their own, and the command in a box that sees that folder and the notebook's."""
        private = around(Path(settings.get("cwd") or "."))
        if problem := works("bubblewrap", private):
            raise RuntimeError(
                f"expected a sandbox to run this notebook in, got none ({problem}): run `coursekit grade doctor`"
            )
        self.folder = Path(tempfile.mkdtemp(prefix="kernel"))
        manager = self.parent
        manager.transport, manager.ip, manager.cache_ports = "ipc", str(self.folder / "socket"), False
        manager.connection_file = str(self.folder / "kernel.json")
        prepared: dict[str, Any] = await super().pre_launch(**settings)
        beside = Path(prepared.get("cwd") or ".").resolve()  # the notebook
        boxed = bubblewrap(prepared["cmd"], private=private)
        at = boxed.index("--chdir")
        seen = ["--bind", str(self.folder), str(self.folder), "--ro-bind", str(beside), str(beside)]
        for place in sorted(Path(place) for place in private if beside in Path(place).parents):
            if place.is_dir():
                seen += ["--tmpfs", str(place), "--remount-ro", str(place)]
            elif place.exists():
                seen += ["--ro-bind", "/dev/null", str(place)]
        seen += ["--chdir", str(beside)]
        seen += ["--unsetenv", "JPY_PARENT_PID"]  # which is another number in there, and the kernel would end
        boxed[at : at + 2] = seen
        prepared["cmd"], prepared["env"] = boxed, environment() | {"PATH": os.environ.get("PATH", "")}
        return prepared

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets when the kernel is gone for good."""
        await super().cleanup(restart)
        if self.folder is not None and not restart:
            shutil.rmtree(self.folder, ignore_errors=True)
