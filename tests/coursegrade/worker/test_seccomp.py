"""The filter's answers, call by call, on both machines: run here by a small interpreter of its instructions."""

import socket
import struct

import pytest

from coursegrade.worker import seccomp

WRITE = (1, 64)  # a call that everybody needs


def answered(lines: list[bytes], machine: int, number: int, argument: int = 0) -> int:
    """What the kernel would do with a call."""
    words = {seccomp.MACHINE: machine, seccomp.NUMBER: number, seccomp.FIRST_ARGUMENT: argument}
    at, loaded = 0, 0
    while True:
        code, skip_if, skip_unless, value = struct.unpack("HBBI", lines[at])
        at += 1
        if code == seccomp.ANSWER:
            return value
        if code == seccomp.LOAD:
            loaded = words[value]
            continue
        tests = {seccomp.EQUAL: loaded == value, seccomp.AT_LEAST: loaded >= value, seccomp.ANY_BIT: loaded & value}
        at += skip_if if tests[code] else skip_unless


@pytest.mark.parametrize("unix_sockets", [True, False])
@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_every_call_is_answered_as_the_list_says(machine: str, column: int, unix_sockets: bool) -> None:
    lines, mark = seccomp.program(machine, unix_sockets=unix_sockets), seccomp.MACHINES[machine]

    def answer(call: tuple[int, int], argument: int = 0) -> int:
        return answered(lines, mark, call[column], argument)

    assert {answer(call) for call in seccomp.REFUSED.values()} == {seccomp.REFUSE}
    assert answer(WRITE) == seccomp.ALLOW
    assert answer(seccomp.CLONE3) == seccomp.UNKNOWN
    assert (answer(seccomp.CLONE, 17), answer(seccomp.CLONE, 1 << 28 | 17)) == (seccomp.ALLOW, seccomp.REFUSE)
    assert (answer(seccomp.PRCTL, 15), answer(seccomp.PRCTL, 4)) == (seccomp.ALLOW, seccomp.REFUSE)
    assert answer(seccomp.SOCKET, socket.AF_INET) == seccomp.REFUSE
    assert answer(seccomp.SOCKET, socket.AF_UNIX) == (seccomp.ALLOW if unix_sockets else seccomp.REFUSE)
    assert answered(lines, mark, seccomp.X32 | WRITE[column]) == seccomp.REFUSE
    assert answered(lines, 0x40000003, WRITE[column]) == seccomp.KILL  # 32 bits, whose numbers mean other calls


def test_another_machine_is_refused() -> None:
    with pytest.raises(OSError, match="expected a processor of x86_64, aarch64, got riscv64"):
        seccomp.program("riscv64", unix_sockets=True)
