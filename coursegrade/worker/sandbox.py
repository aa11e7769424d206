"""The box a student's code runs in: bubblewrap around a warm start, and in it one set of namespaces a submission.

Where bubblewrap does not work there is Landlock (Linux 6.12 or newer), and elsewhere nothing: then grading refuses.
What both boxes close: the network, files but for the environment's own and a scratch folder, other processes, new
programs, the kernel's odder calls (``seccomp`` writes that filter).
"""

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import seccomp
from .layout import SYSTEM, TOP, closed_off, covered, probes, programs, readable, shown

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000  # linux/sched.h
MS_NOSUID_NODEV_NOEXEC, MS_BIND_REC = 2 | 4 | 8, 0x1000 | 0x4000  # linux/mount.h
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38  # linux/prctl.h
SECCOMP_MODE_FILTER = 2  # linux/seccomp.h
LINUX_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
# linux/landlock.h; the calls have these numbers on every machine
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_VERSION, LANDLOCK_PATH_BENEATH = 1, 1  # a flag of the first, a kind of rule of the second
LANDLOCK_FROM = 6  # the first interface that also keeps signals in
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8  # LANDLOCK_ACCESS_FS_…
ALL_OF_FILES = (1 << 16) - 1  # every right of that kind
ALL_OF_NET = 0b11  # LANDLOCK_ACCESS_NET_…: bind and connect of TCP
ALL_SCOPES = 0b11  # LANDLOCK_SCOPE_…: abstract Unix sockets and signals
PROC = tuple(f"/proc/{name}" for name in ("self", "cpuinfo", "meminfo", "stat", "filesystems", "loadavg", "uptime"))
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
SCRATCH_MB, SHARED_MB = 64, 512
HOMES = ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR")
libc = ctypes.CDLL(None, use_errno=True)


def called(result: int, what: str) -> int:
    """The result of a system call, or an OSError that names it."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def environment() -> dict[str, str]:
    """All that a student's code finds in its environment."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")}
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    plain = {"PATH": path, "USER": "student", "LANG": "C.UTF-8", "MPLBACKEND": "agg"}
    python = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}
    if str(TOP) not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        python["PYTHONPATH"] = str(TOP)  # the library that grades, not another that is installed
    return plain | python | threads | dict.fromkeys(HOMES, "/tmp")


# --- the outer box ---


def bubblewrap(command: Sequence[str], *, closed: Sequence[str] = (), private: Sequence[str] = ()) -> list[str]:
    """The command line that runs ``command`` in bubblewrap: no network, nothing writable but a scratch in memory.

    Of places in each other the inner one decides: an environment in a course is seen, a course in an environment is
    not.
    """
    line = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"]
    line += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    line += ["--size", str(SCRATCH_MB << 20), "--tmpfs", "/tmp"]  # first: the environment itself may lie in /tmp
    away = covered(closed, private)
    places = {path: ["--ro-bind-try", str(path), str(path)] for path in (*map(Path, SYSTEM), *readable())}
    for path in away:
        places[path] = ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]
    for path in sorted(places, key=lambda path: len(path.parts)):
        line += places[path]
    for path in programs():
        if not any(path.is_relative_to(place) for place in map(Path, SYSTEM)):
            shown_as = ["--symlink", os.readlink(path)] if path.is_symlink() else ["--ro-bind", str(path)]
            line += [*shown_as, str(path)]
    line += ["--proc", "/proc", "--dev", "/dev", "--chdir", "/tmp"]
    for path in (*(path for path in away if path.is_dir()), Path("/dev"), Path("/")):
        line += ["--remount-ro", str(path)]  # else one student leaves files there for the next
    return [*line, "--", *command]


def works(kind: str, private: Sequence[str] = ()) -> str:
    """Why a kind of box does not work here, in a phrase; empty if it does. It is tried and looked into."""
    try:
        closed_off(private)
    except ValueError as error:
        return str(error)
    arguments = (kind, list(map(str, private)), probes(private))
    command = [sys.executable, "-c", f"from coursegrade.worker.sandbox import try_out; try_out{arguments!r}"]
    if kind == "landlock":
        version = -1
        if sys.platform == "linux":
            version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), LANDLOCK_VERSION)
        if version < LANDLOCK_FROM:
            return f"the kernel's Landlock is {'missing' if version < 0 else f'version {version}'}"
    elif shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    else:
        command = bubblewrap(command, private=private)
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
    if ended.returncode == 0:
        return ""
    return f"{kind} fails: {(ended.stderr.strip().splitlines() or ['no reason given'])[-1][:200]}"


def try_out(kind: str, private: Sequence[str], unseen: Sequence[str]) -> NoReturn:
    """Close a box around nothing, and look whether it shows what must stay unseen."""
    with tempfile.TemporaryDirectory() if kind == "landlock" else contextlib.nullcontext("/tmp") as scratch:
        if (child := os.fork()) == 0:
            enter(kind, memory_mb=256, scratch=Path(scratch), private=private)
            if seen := next(filter(shown, unseen), ""):
                os.write(2, f"students' code could read {seen}\n".encode())
            os._exit(bool(seen))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    raise SystemExit(code)


def choose(private: Sequence[str] = ()) -> str:
    """The kind of box that works here and shows nothing private, ``bubblewrap`` before ``landlock``."""
    closed_off(private)
    reasons = {kind: works(kind, private) for kind in ("bubblewrap", "landlock")}
    for kind, reason in reasons.items():
        if not reason:
            return kind
    raise ValueError(
        f"expected a sandbox to run students' code in, got none ({'; '.join(reasons.values())}): "
        "run `coursekit grade doctor`, which says what to do, or pass --unsafe to run it with your own rights"
    )


# --- the inner box, one a submission ---


def enter(
    kind: str,
    *,
    memory_mb: int,
    scratch: Path = Path("/tmp"),
    closed: Sequence[str] = (),
    private: Sequence[str] = (),
    processes: int = 64,
) -> None:
    """Close the box around this process. In bubblewrap it comes back in a grandchild; SIGTERM to who waits ends it."""
    if kind == "bubblewrap":
        _namespaces()
    called(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    limit(memory_mb, processes)
    if kind == "landlock":
        _landlock(scratch, closed, private)
        _drop_capabilities()
    if kind != "none":
        _seccomp(unix_sockets=kind == "bubblewrap")
    if kind == "bubblewrap":
        _wait_for_child(signal.SIGKILL)  # process 1 is deaf to signals; a student's process is not
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def limit_data(most: int) -> None:
    """Bytes of memory from here: a warm start holds some already."""
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (held + most, held + most))


def limit(memory_mb: int, processes: int) -> None:
    """What one process may use; the warm start watches the sum."""
    limit_data(memory_mb << 20)
    limits = {resource.RLIMIT_FSIZE: SHARED_MB << 20, resource.RLIMIT_NOFILE: 512, resource.RLIMIT_CORE: 0}
    limits[resource.RLIMIT_NPROC] = processes * 8  # of all that this user runs; root is not held to it
    limits[resource.RLIMIT_MEMLOCK] = 0
    for kind, most in limits.items():
        ceiling = resource.getrlimit(kind)[1]
        value = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        resource.setrlimit(kind, (value, value))


def _namespaces() -> None:
    """Users, mounts, processes and IPC of its own, and its own /tmp and /dev/shm. One process stays behind to wait.

    /proc stays the outer one: it shows that a warm start is there, and nothing of it, since it belongs to another
    user namespace."""
    uid, gid = os.getuid(), os.getgid()
    called(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _wait_for_child(signal.SIGTERM)  # from here in the new process space, as process 1: it takes all others with it
    called(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "die with the parent")
    inside = {path: os.open(path, os.O_PATH) for path in readable() if Path("/tmp") in path.parents}
    _mount_memory("/tmp", f"size={SCRATCH_MB}m,nr_inodes=20000,mode=1777")
    for path, held in inside.items():  # an environment that lies in /tmp is seen again
        path.mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{held}", str(path), MS_BIND_REC)
        os.close(held)
    _mount_memory("/dev/shm", f"size={SHARED_MB}m,nr_inodes=2000,mode=1777")
    os.chdir("/tmp")
    _drop_capabilities()


def _wait_for_child(stop: signal.Signals) -> None:
    """Fork; the parent ends as the child ends, and passes SIGTERM on to it as ``stop``: so CPU time adds up."""
    child = os.fork()
    if child == 0:
        return
    os.closerange(0, 1 << 12)

    def end(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, stop)

    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _mount_memory(place: str, options: str) -> None:
    _mount("tmpfs", place, MS_NOSUID_NODEV_NOEXEC, "tmpfs", options)


def _mount(source: str, place: str, flags: int, kind: str | None = None, options: str | None = None) -> None:
    words = [word and word.encode() for word in (source, place, kind, options)]
    called(libc.mount(*words[:3], ctypes.c_ulong(flags), words[3]), f"mount {place}")


def _drop_capabilities() -> None:
    called(libc.capset(struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0), bytes(24)), "drop capabilities")


def _allowed(place: Path, away: Collection[Path], private: Collection[Path]) -> Iterator[tuple[Path, int]]:
    """``place`` with its rights, or what lies in it where something below is closed: a link there would lead around it.

    Python lists a folder before it imports from it. A right holds for all that is below, so that a folder above
    something private is not listed."""
    if place in away:
        return
    if not any(place in path.parents for path in away):
        yield place, EXECUTE | READ_FILE | READ_DIR
        return
    if not any(place in path.parents for path in private):
        yield place, READ_DIR
    for inner in place.iterdir():
        if not inner.is_symlink():
            yield from _allowed(inner, away, private)


def _landlock(scratch: Path, closed: Sequence[str], private: Sequence[str]) -> None:
    """Reading of the environment, writing of the scratch, no TCP, no signal and no abstract socket to the outside."""
    attributes = struct.pack("QQQ", ALL_OF_FILES, ALL_OF_NET, ALL_SCOPES)  # what is refused unless a rule allows it
    ruleset = _landlock_call(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    places = [Path(place) for place in (*SYSTEM, *PROC)] + readable()
    away, unlisted = covered(closed, private), covered((), private)
    rules = dict(rule for place in places for rule in _allowed(place.resolve(), away, unlisted))
    rules |= dict.fromkeys(map(Path, DEVICES), WRITE_FILE | READ_FILE) | {scratch: ALL_OF_FILES}
    for path, rights in rules.items():
        if not path.exists():
            continue
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not path.is_dir():
            rights &= WRITE_FILE | READ_FILE  # the kernel takes no other for a file
        _landlock_call(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
        os.close(handle)
    _landlock_call(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    os.chdir(scratch)


def _landlock_call(number: int, *arguments: Any) -> int:
    return called(libc.syscall(number, *arguments), "Landlock")


def _seccomp(*, unix_sockets: bool) -> None:
    """Refuse a few system calls (``seccomp.program``) to this process and all that come from it."""
    lines = seccomp.program(os.uname().machine, unix_sockets=unix_sockets)
    code = ctypes.create_string_buffer(b"".join(lines))
    whole = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))  # struct sock_fprog
    called(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(whole), 0, 0), "seccomp")
