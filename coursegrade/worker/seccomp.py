"""The filter of system calls: a small program that the kernel runs at each call of a student's process, and whose
answer it follows.

``program`` puts it together. It reads ``struct seccomp_data`` (linux/seccomp.h) in words of 32 bits, and can load one,
compare it, skip instructions, and answer: classic BPF (linux/bpf_common.h, linux/filter.h).
"""

import errno
import socket
import struct

# What an instruction does (linux/bpf_common.h).
LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS: the word at an offset
EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K: skip by whether the word loaded is this value,
AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K: … is this value or more,
ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K: … has a bit of this value
ANSWER = 0x06  # BPF_RET | BPF_K

# Offsets in struct seccomp_data; of an argument the lower word, as both machines are little-endian.
NUMBER, MACHINE, FIRST_ARGUMENT = 0, 4, 16

# Answers (linux/seccomp.h).
ALLOW = 0x7FFF0000  # SECCOMP_RET_ALLOW
KILL = 0x80000000  # SECCOMP_RET_KILL_PROCESS
_ERROR = 0x00050000  # SECCOMP_RET_ERRNO: the call fails with the number in the lower half
REFUSE = _ERROR | errno.EPERM
UNKNOWN = _ERROR | errno.ENOSYS

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_… (linux/audit.h), by what uname says
X32 = 0x40000000  # __X32_SYSCALL_BIT (asm/unistd.h): the other numbering of x86
CLONE_NEW_ANY = 0x7E020080  # all of CLONE_NEW… (linux/sched.h)
PR_SET_DUMPABLE = 4  # linux/prctl.h

Numbers = tuple[int, int]  # of a system call on x86_64 and on aarch64 (asm/unistd_64.h, asm-generic/unistd.h)
CLONE: Numbers = (56, 220)
CLONE3: Numbers = (435, 435)
PRCTL: Numbers = (157, 167)
SOCKET: Numbers = (41, 198)
NEW_PROGRAMS = {"execve": (59, 221), "execveat": (322, 281)}
OTHER_PROCESSES = {
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{"pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "process_madvise": (440, 440)},
}
NAMESPACES = {"unshare": (272, 97), "setns": (308, 268)}
MOUNTS = {
    **{"mount": (165, 40), "umount2": (166, 39), "open_tree": (428, 428), "move_mount": (429, 429)},
    **{"fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433)},
    **{"mount_setattr": (442, 442)},
}
MEMORY_UNCOUNTED = {  # or that stays behind
    **{"memfd_create": (319, 279), "memfd_secret": (447, 447)},
    **{"shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180)},
}
ODD_CORNERS = {
    **{"io_uring_setup": (425, 425), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282)},
    **{"keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "open_by_handle_at": (304, 265)},
}
REFUSED = NEW_PROGRAMS | OTHER_PROCESSES | NAMESPACES | MOUNTS | MEMORY_UNCOUNTED | ODD_CORNERS  # no exercise needs one


def program(machine: str, *, unix_sockets: bool) -> list[bytes]:
    """The instructions for a machine; of sockets none may be made, or Unix ones alone where those lead nowhere."""
    if machine not in MACHINES:
        raise OSError(f"expected a processor of {', '.join(MACHINES)}, got {machine}")
    column = list(MACHINES).index(machine)
    lines = [load(MACHINE), *unless(EQUAL, MACHINES[machine], [answer(KILL)])]
    lines += [load(NUMBER), *when(AT_LEAST, X32, [answer(REFUSE)])]
    for numbers in REFUSED.values():
        lines += when(EQUAL, numbers[column], [answer(REFUSE)])
    # What clone3 is asked cannot be read from here: unknown, the C library falls back to clone.
    lines += when(EQUAL, CLONE3[column], [answer(UNKNOWN)])
    lines += by_argument(CLONE[column], ANY_BIT, CLONE_NEW_ANY, then=REFUSE, otherwise=ALLOW)
    # A process that cannot be dumped would hide how much memory it takes.
    lines += by_argument(PRCTL[column], EQUAL, PR_SET_DUMPABLE, then=REFUSE, otherwise=ALLOW)
    if unix_sockets:
        lines += by_argument(SOCKET[column], EQUAL, socket.AF_UNIX, then=ALLOW, otherwise=REFUSE)
    else:
        lines += when(EQUAL, SOCKET[column], [answer(REFUSE)])
    return [*lines, answer(ALLOW)]


# --- the assembler ---


def instruction(code: int, value: int, *, skip_if: int = 0, skip_unless: int = 0) -> bytes:
    """A ``struct sock_filter`` (linux/filter.h); a test skips so many of the instructions that follow."""
    return struct.pack("HBBI", code, skip_if, skip_unless, value)


def load(offset: int) -> bytes:
    return instruction(LOAD, offset)


def answer(value: int) -> bytes:
    return instruction(ANSWER, value)


def when(test: int, value: int, body: list[bytes]) -> list[bytes]:
    """Do ``body`` where the word loaded passes the test, and else go on behind it."""
    return [instruction(test, value, skip_unless=len(body)), *body]


def unless(test: int, value: int, body: list[bytes]) -> list[bytes]:
    """Do ``body`` where it does not."""
    return [instruction(test, value, skip_if=len(body)), *body]


def by_argument(number: int, test: int, value: int, *, then: int, otherwise: int) -> list[bytes]:
    """Answer one call by its first argument; any other call goes on behind, its number still loaded."""
    return when(EQUAL, number, [load(FIRST_ARGUMENT), *when(test, value, [answer(then)]), answer(otherwise)])
