"""The box a student's code runs in: bubblewrap around a warm start, and in it one set of namespaces a submission.

Where bubblewrap does not work there is Landlock (Linux 6.12 or newer), and elsewhere nothing: then grading refuses. What both boxes close:
the network, files but for the environment's own and a scratch folder, other processes, new programs, the kernel's odder calls.
"""

import ctypes
import importlib.util
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_NOSUID_NODEV = 2 | 4
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 1, 22, 38, 36
LANDLOCK_FROM = 6  # the first interface that also keeps signals in
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts", "/etc/ssl")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
SCRATCH_MB, SHARED_MB = 64, 512
HOMES = ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR")
REFUSED = {  # calls no exercise needs, by machine: a new program, another namespace, looking into others, odd corners of the kernel
    "x86_64": (0xC000003E, 41, (59, 322, 101, 425, 250, 248, 249, 321, 298, 323, 272, 308, 165, 166, 310, 311, 434, 438)),
    "aarch64": (0xC00000B7, 198, (221, 281, 117, 425, 219, 217, 218, 280, 241, 282, 97, 268, 40, 39, 270, 271, 434, 438)),
}
libc = ctypes.CDLL(None, use_errno=True)


def called(result: int, what: str) -> int:
    """The result of a system call, or an OSError that names it."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


# --- what may be read ---


def readable() -> list[Path]:
    """This environment, its Python and this library."""
    places = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), str(Path(__file__).parents[2])}
    return [Path(p) for p in sorted(places)]


def hidden(closed: Sequence[str]) -> list[Path]:
    """The files of the modules that an assignment closes."""
    found = []
    for name in closed:
        top, *parts = name.split(".")
        spec = None if top == "torch" else importlib.util.find_spec(top)
        if spec is None or spec.origin is None:
            continue
        place = Path(spec.origin).parent.joinpath(*parts)
        found += [p for p in (place, place.with_suffix(".py"), *place.parent.glob(f"__pycache__/{place.name}.*.pyc")) if p.exists()]
    return found


def environment() -> dict[str, str]:
    """All that a student's code finds in its environment."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")}
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    plain = {"PATH": path, "USER": "student", "LANG": "C.UTF-8", "MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    return plain | threads | dict.fromkeys(HOMES, "/tmp")


# --- the outer box ---


def bubblewrap(command: Sequence[str], *, closed: Sequence[str] = ()) -> list[str]:
    """The command line that runs ``command`` in bubblewrap: no network, nothing writable but a scratch in memory."""
    line = [
        shutil.which("bwrap") or "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    for place in SYSTEM:
        line += ["--ro-bind-try", place, place]
    for path in readable():
        line += ["--ro-bind", str(path), str(path)]
    for path in hidden(closed):
        line += ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]
    line += ["--proc", "/proc", "--dev", "/dev", "--size", str(SCRATCH_MB << 20), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    return [*line, "--", *command]


def works(kind: str) -> str:
    """Why a kind of box does not work here, in a phrase; empty if it does. It is tried, not guessed."""
    if kind == "landlock":
        version = libc.syscall(444, None, ctypes.c_size_t(0), 1) if sys.platform == "linux" else -1
        return "" if version >= LANDLOCK_FROM else f"the kernel's Landlock is {'missing' if version < 0 else f'version {version}'}"
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    code = "from coursekit.grade.worker.sandbox import enter; raise SystemExit(enter('bubblewrap', memory_mb=256))"
    tried = subprocess.run(bubblewrap([sys.executable, "-c", code]), capture_output=True, text=True, env={}, timeout=60)
    return "" if tried.returncode == 0 else f"bubblewrap fails: {(tried.stderr.strip().splitlines() or ['no reason given'])[-1][:200]}"


def choose() -> str:
    """The kind of box that works here, ``bubblewrap`` before ``landlock``."""
    reasons = {kind: works(kind) for kind in ("bubblewrap", "landlock")}
    for kind, reason in reasons.items():
        if not reason:
            return kind
    raise ValueError(
        f"expected a sandbox to run students' code in, got none ({'; '.join(reasons.values())}): run `coursekit grade doctor`, "
        "which says what to do, or pass --unsafe to run it with your own rights"
    )


# --- the inner box, one a submission ---


def enter(kind: str, *, memory_mb: int, scratch: Path = Path("/tmp"), closed: Sequence[str] = (), processes: int = 64) -> int:
    """Close the box around this process: it comes back once, in a child of it where kinds need one. Returns 0."""
    if kind == "bubblewrap":
        _namespaces()
    called(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    limit(memory_mb, processes)
    if kind == "landlock":
        _landlock(scratch, closed)
    if kind != "none":
        _seccomp(sockets=kind == "bubblewrap")
    return 0


def limit(memory_mb: int, processes: int) -> None:
    """Memory counts from here: a warm start holds some already."""
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_DATA: held + (memory_mb << 20),
        resource.RLIMIT_FSIZE: SHARED_MB << 20,
        resource.RLIMIT_NOFILE: 512,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: processes * 8,  # of all that this user runs
        resource.RLIMIT_MEMLOCK: 0,
    }
    for what, most in limits.items():
        ceiling = resource.getrlimit(what)[1]
        value = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        resource.setrlimit(what, (value, value))


def _namespaces() -> None:
    """Users, mounts, processes and IPC of its own, and its own /tmp and /dev/shm. Two processes stay behind to wait.

    /proc stays the outer one: it shows that a warm start is there, and nothing of it, since it belongs to another user namespace."""
    uid, gid = os.getuid(), os.getgid()
    called(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _wait_for_child(signal.SIGTERM)  # from here in the new process space, as process 1
    called(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "die with the parent")
    _mount("tmpfs", "/tmp", f"size={SCRATCH_MB}m,nr_inodes=20000,mode=1777")
    _mount("tmpfs", "/dev/shm", f"size={SHARED_MB}m,nr_inodes=2000,mode=1777")
    os.chdir("/tmp")
    _drop_capabilities()
    _wait_for_child(signal.SIGKILL)  # process 1 is deaf to signals; a student's process is not


def _wait_for_child(stop: signal.Signals) -> None:
    """Fork; the parent answers a request to stop by stopping the child, and ends as the child ends."""
    child = os.fork()
    if child == 0:
        return
    os.closerange(0, 256)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, stop))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _mount(kind: str, place: str, options: str) -> None:
    result = libc.mount(kind.encode(), place.encode(), kind.encode(), ctypes.c_ulong(MS_NOSUID_NODEV), options.encode())
    called(result, f"mount {place}")


def _drop_capabilities() -> None:
    called(libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24)), "drop capabilities")


def _allowed(place: Path, closed: Sequence[Path]) -> Iterator[Path]:
    """``place``, or what lies in it where something under it is closed."""
    if place in closed:
        return
    if any(place in path.parents for path in closed):
        for inner in place.iterdir():
            yield from _allowed(inner, closed)
    else:
        yield place


def _landlock(scratch: Path, closed: Sequence[str]) -> None:
    """Reading of the environment, writing of the scratch, no TCP, no signal and no abstract socket to the outside."""
    everything, read, write = (1 << 16) - 1, 0b1101, (1 << 16) - 1
    ruleset = called(libc.syscall(444, struct.pack("QQQ", everything, 0b11, 0b11), ctypes.c_size_t(24), 0), "Landlock")
    places = [p for place in (*map(Path, SYSTEM), Path("/proc"), *readable()) for p in _allowed(place, hidden(closed))]
    for path, rights in [*((p, read) for p in places), *((Path(p), 0b110) for p in DEVICES), (scratch, write)]:
        if not path.exists():
            continue
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", rights if path.is_dir() else rights & 0b110, handle)
        called(libc.syscall(445, ruleset, 1, rule, 0), f"Landlock for {path}")
        os.close(handle)
    called(libc.syscall(446, ruleset, 0), "Landlock")
    os.close(ruleset)
    os.chdir(scratch)


def _seccomp(*, sockets: bool) -> None:
    """Refuse a few system calls; also sockets other than Unix ones where no network namespace does."""
    machine = os.uname().machine
    if machine not in REFUSED:
        raise OSError(f"expected a processor of {', '.join(REFUSED)}, got {machine}")
    arch, socket_call, refused = REFUSED[machine]
    load, equal, give, above = 0x20, 0x15, 0x06, 0x35
    allow, deny, kill = 0x7FFF0000, 0x00050001, 0x80000000

    def op(code: int, yes: int, no: int, k: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, k)

    program = [op(load, 0, 0, 4), op(equal, 1, 0, arch), op(give, 0, 0, kill), op(load, 0, 0, 0)]
    program += [op(above, 0, 1, 0x40000000), op(give, 0, 0, deny)]  # the other numbering of x86
    for number in refused:
        program += [op(equal, 0, 1, number), op(give, 0, 0, deny)]
    if not sockets:
        program += [op(equal, 0, 3, socket_call), op(load, 0, 0, 16), op(equal, 1, 0, socket.AF_UNIX), op(give, 0, 0, deny)]
    program += [op(give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(program))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    called(libc.prctl(PR_SET_SECCOMP, 2, filter_, 0, 0), "seccomp")
