"""What the box keeps a student's code from: reading, writing, leaving, staying, reaching out, exhausting. All canaries
are inert.
"""

import os
import socket
import sys
from pathlib import Path

import pytest
from small_assignment import Grade, processes

from coursegrade.worker import layout, sandbox
from coursegrade.worker.box import Box

TRY = """
import os, pathlib, tempfile
def attempt(what, action):
    try:
        got = action()
    except BaseException as error:
        return
    print("GOT", what, got)
"""


def test_reads_nothing_of_the_course_or_the_grader(harmless: Grade, canary: Path) -> None:
    paths = [str(p) for p in canary.rglob("*")] + ["/etc/passwd", "/etc/shadow", str(Path(__file__))]
    came = harmless(
        own=TRY
        + f"""
for path in {paths}:
    attempt(path, lambda: open(path).read() if not os.path.isdir(path) else os.listdir(path))
print("ENV", sorted(os.environ.items()))
def opened(path):
    return [os.readlink(f"{{path}}/{{n}}") for n in os.listdir(path)] if path.endswith("fd") else open(path)
def inside(pid):
    try:  # this process, and the first one of its own box
        first = f"NSpid:\\t{{pid}}\\t1\\n" in open(f"/proc/{{pid}}/status").read()
        return first or str(pid) == os.readlink("/proc/self")
    except OSError:
        return False
for pid in [*range(1, 60), {os.getpid()}, {os.getppid()}]:
    for name in ("environ", "mem", "maps", "fd", "cwd/x", "root/etc/passwd"):
        if not inside(pid):
            attempt((pid, name), lambda: opened(f"/proc/{{pid}}/{{name}}") or 1 / 0)
"""
    )
    assert came.own.ok, came.own.message
    assert "GOT" not in came.own.output, came.own.output
    assert "CANARY" not in came.text
    assert "COURSE_SECRET" not in came.text


def test_sees_no_command_line_of_the_host(harmless: Grade, box: Box) -> None:
    """Landlock alone would show them all."""
    code = (
        "for pid in range(1, 40000):\n"
        "    if pid != os.getpid(): attempt(pid, lambda: "
        "open(f'/proc/{pid}/cmdline').read().replace('\\0', ' '))"
    )
    came = harmless(own=TRY + code)
    assert "pytest" not in came.own.output
    assert "GOT" not in came.own.output or box.kind == "bubblewrap"  # there, the warm start's own


def test_writes_nothing_but_its_scratch(harmless: Grade, canary: Path) -> None:
    places = [
        canary,
        canary / "solutions/a0",
        Path(sys.prefix),
        Path(sandbox.__file__).parent,
        layout.TOP / "coursekit/ops/roi",
    ]
    places += layout.hidden(("torchvision.ops",))
    places += [Path(p) for p in ("/", "/dev", "/usr", "/etc", "/proc", "/var/tmp", "/run", "/home", "/sys")]
    came = harmless(
        own=TRY
        + f"""
for place in {[str(p) for p in places]}:
    attempt(place, lambda: open(os.path.join(place, "canary"), "w"))
    attempt(place, lambda: os.mkdir(os.path.join(place, "canaries")))
for path in {[str(p) for p in canary.rglob("*") if p.is_file()]}:
    attempt(path, lambda: open(path, "a"))
    attempt(path, lambda: os.remove(path))
    attempt(path, lambda: os.link(path, "linked"))
pathlib.Path(tempfile.gettempdir(), "mine").write_text("x")
print("MINE", pathlib.Path("mine").read_text())
"""
    )
    assert "GOT" not in came.own.output, came.own.output
    assert "MINE x" in came.own.output
    assert {p.read_text() for p in canary.rglob("*") if p.is_file()} == {"CANARY-5077"}


LEAVES = """
import builtins, ctypes, sys, torch, coursegrade.worker.wire as wire
import multiprocessing.shared_memory
home = os.environ["HOME"]
for place in ("/tmp", "/dev/shm", home, os.getcwd(), home + "/.ipython/profile_default/startup",
              os.environ["HOME"] + "/.config/matplotlib", os.environ["HOME"] + "/.local/lib/python3.11/site-packages"):
    for name in ("left-canary", "sitecustomize.py", "usercustomize.py", "torch.py", "00-left.py"):
        try:
            os.makedirs(place, exist_ok=True)
            open(place + "/" + name, "w").write("LEFT = 1")
        except OSError:
            pass
builtins.LEFT = sys.LEFT = torch.LEFT = wire.LEFT = 1
torch.allclose = lambda *_, **__: True
attempt("a segment that stays", lambda: ctypes.CDLL(None).shmget(0x5077, 4096, 0o1666) >= 0 or 1 / 0)
attempt("a file of memory", lambda: os.memfd_create("left"))
"""
FINDS = """
import builtins, sys, torch, coursegrade.worker.wire as wire
marked = any(hasattr(x, "LEFT") for x in (builtins, sys, torch, wire))
replaced = torch.allclose.__module__ != "torch" and "lambda" in repr(torch.allclose)
print("FOUND" if marked or replaced else "")
for place in ("/tmp", "/dev/shm", "/dev", "/", os.environ["HOME"], os.getcwd()):
    for where, folders, names in os.walk(place):
        inner = [f for f in folders if where != "/" and not os.path.islink(os.path.join(where, f))]
        # the environment may lie in /tmp
        folders[:] = [f for f in inner if not sys.prefix.startswith(os.path.join(where, f))]
        for name in names:
            if "left" in name or "customize" in name or name == "torch.py":
                print("FOUND", where, name)
"""


def test_leaves_nothing_for_the_next(harmless: Grade) -> None:
    first = harmless(own=TRY + LEAVES)
    assert first.own.ok, first.own.message
    assert "GOT" not in first.own.output
    second = harmless(own=TRY + FINDS)
    assert second.own.ok, second.own.message
    assert "FOUND" not in second.own.output


STAYS = {
    "forks twice": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        import signal\n"
        "        [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 13, 15)]\n    time.sleep(600)"
    ),
    "thread": "import threading\nthreading.Thread(target=time.sleep, args=(600,)).start()",
    "deaf": (
        "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except OSError: pass\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))"
    ),
    "atexit": "import atexit\natexit.register(time.sleep, 600)",
    "at its end": "class Late:\n    def __del__(self): time.sleep(600)\nlate = Late()",
}


@pytest.mark.parametrize("case", STAYS)
def test_nothing_stays_alive(harmless: Grade, case: str) -> None:
    """``grade`` looks at the box's processes afterwards."""
    assert harmless(own=f"import os, time\n{STAYS[case]}").passed == {"double", "shout"}


def test_a_copy_of_the_process_answers_for_nobody(harmless: Grade) -> None:
    came = harmless(own="import os, time\nif os.fork() == 0:\n    raise ValueError('a copy')\ntime.sleep(0.5)")
    assert came.own.ok, came.own
    assert came.passed == {"double", "shout"}


def test_reaches_nobody(harmless: Grade, tmp_path: Path) -> None:
    listeners = {
        "tcp": socket.socket(),
        "file": socket.socket(socket.AF_UNIX),
        "abstract": socket.socket(socket.AF_UNIX),
    }
    listeners["tcp"].bind(("127.0.0.1", 0))
    listeners["file"].bind(str(tmp_path / "s"))
    listeners["abstract"].bind(f"\0canary{os.getpid()}")
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    for listener in listeners.values():
        listener.listen()
        listener.setblocking(False)
    udp.setblocking(False)
    came = harmless(
        own=TRY
        + f"""
import socket
for family, kind, address in [
    (socket.AF_INET, socket.SOCK_STREAM, {listeners["tcp"].getsockname()}),
    (socket.AF_INET, socket.SOCK_DGRAM, {udp.getsockname()}),
    (socket.AF_UNIX, socket.SOCK_STREAM, {str(tmp_path / "s")!r}),
    (socket.AF_UNIX, socket.SOCK_STREAM, "\\0canary{os.getpid()}"),
    (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 22)), (socket.AF_INET, socket.SOCK_STREAM, ("192.0.2.1", 80)),
]:
    def reach():
        with socket.socket(family, kind) as s:
            s.settimeout(0.2)
            s.connect(address)
            s.send(b"CANARY")
    attempt(address, reach)
attempt("packets", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("the machine around", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("names", lambda: socket.gethostbyname("localhost.localdomain."))
import stat
for fd in range(3, 600):
    attempt(f"descriptor {{fd}}", lambda: os.fstat(fd) and os.readlink(f"/proc/self/fd/{{fd}}"))
"""
    )
    left = [line for line in came.own.output.splitlines() if line.startswith("GOT") and "anon_inode" not in line]
    assert [line.split()[2] for line in left if "socket:" in line] == ["3"], left  # its own end of the wire
    assert len(left) == 1, left
    for listener in listeners.values():
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.close()
    with pytest.raises(BlockingIOError):
        udp.recv(9)
    udp.close()


def test_touches_no_other_process(harmless: Grade, box: Box) -> None:
    """All of it inert: signal 0 asks for the permission, and what is called is called on nothing."""
    pids = [os.getpid(), *sorted(processes(box))]
    came = harmless(
        own=TRY
        + f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def must(result):
    if ctypes.set_errno(0) == 1: raise PermissionError  # anything else would have been an answer of the kernel
nobody = 0x3fffffff
others = {pids} if {box.kind == "landlock"} else [p for p in range(1, 60) if p != os.getpid() and p != 1]
for pid in others:
    attempt(("signal", pid), lambda: os.kill(pid, 0))
attempt("trace", lambda: must(libc.ptrace(16, nobody, 0, 0)))
attempt("open", lambda: os.pidfd_open(os.getpid()))
attempt("memory", lambda: must(libc.process_vm_readv(nobody, 0, 0, 0, 0, 0)))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
attempt("a program", lambda: os.execv("/bin/true", ["true"]))
attempt("a namespace", lambda: must(libc.unshare(0x10000000)))
clone = {220 if os.uname().machine == "aarch64" else 56}
attempt("a clone in a namespace", lambda: must(libc.syscall(clone, 0x10000000 | 17, 0, 0, 0, 0)))
attempt("a hidden size", lambda: must(libc.prctl(4, 0, 0, 0, 0)))
attempt("a mount", lambda: must(libc.mount(b"none", b"/no-such-canary", b"none", 0, b"")))
attempt("more memory", lambda: __import__("resource").setrlimit(2, (-1, -1)))
"""
    )
    assert came.own.ok, came.own.message
    assert "GOT" not in came.own.output, came.own.output


FORKS = (
    "import os, time\nfor k in range({count}):\n    if os.fork() == 0:\n        {work}\n"
    "        time.sleep(60)\n        os._exit(0)\n    time.sleep({pause})\ntime.sleep(5)"
)
EXHAUSTS = {
    "fast forks": FORKS.format(count=1000, work="pass", pause=0),
    "slow forks": FORKS.format(count=60, work="pass", pause=0.01),
    "forks of forks": "import os, time\nfor k in range(8):\n    os.fork()\ntime.sleep(5)",
    "many of some memory": FORKS.format(count=12, work="x = bytearray(os.urandom(1) * (60 << 20))", pause=0.02),
    "shared memory": (
        "import mmap, time\nx = mmap.mmap(-1, 900 << 20)\nfor k in range(0, 900 << 20, 4096): x[k] = 1\ntime.sleep(5)"
    ),
    "memory kept by two": (
        "import os, time\nx = bytearray(b'1' * (200 << 20))\nfor k in range(4):\n"
        "    for _ in range(2):\n        if os.fork() == 0: time.sleep(60)\n"
        "    x = bytearray(b'1' * (200 << 20))\ntime.sleep(5)"
    ),
}


@pytest.mark.parametrize("case", EXHAUSTS)
def test_exhausts_no_more_than_its_share(harmless: Grade, case: str) -> None:
    """Two good ends of many forks: the watcher, which looks five times a second, ends the box and the cell is left
    out, or the kernel comes first and refuses a fork as an error of the cell. It does so only where the grader is not
    root, and what the copies then spoil is the rest of their own submission.
    """
    came = harmless(own=EXHAUSTS[case], memory_mb=600, processes=24)
    if "forks" in case and os.getuid() != 0 and not came.own.fatal:
        assert came.own.message.startswith("BlockingIOError: "), came.own
        return
    assert came.own.fatal == "out of memory", came.own
    assert came.own.message.startswith("It took more than "), came.own.message
    assert came.passed == {"double", "shout"}


def test_who_watches_comes_before_who_is_watched(harmless: Grade, box: Box) -> None:
    """Root is held to no number of processes: there the watcher must get its turn before thousands of them."""
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert harmless(own="import os\nprint(os.getpriority(os.PRIO_PROCESS, 0))").own.output == f"{mine}\n"
    above = os.getpriority(os.PRIO_PROCESS, box.process.pid) < mine
    assert above == (os.geteuid() == 0)


REFUSED = {
    "6 GB": ("import torch\nx = torch.ones(6 << 30, dtype=torch.uint8)", "memory"),
    "6 GB of lists": ("x = [0] * (6 << 27)", "MemoryError"),
    "open files": ("files = [open('/dev/null') for _ in range(5000)]", "Too many open files"),
    "one large file": ("f = open('large', 'wb')\nf.truncate(600 << 20)", "Error"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_too_much_is_an_error_in_its_cell(harmless: Grade, case: str) -> None:
    code, words = REFUSED[case]
    came = harmless(own=code, memory_mb=600)
    assert words in came.own.message, came.own
    assert came.passed == {"double", "shout"}


def test_the_disk_is_not_filled(harmless: Grade, box: Box) -> None:
    code = (
        "import os, time\nfor k in range(12):\n    with open(f'f{k}', 'wb') as f:\n"
        "        os.posix_fallocate(f.fileno(), 0, 90 << 20)\ntime.sleep(5)"
    )
    came = harmless(own=code)
    assert "disk" in came.own.message if box.kind == "landlock" else "No space left" in came.own.message, came.own
    assert came.passed == {"double", "shout"}
