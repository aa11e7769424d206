"""Which sandbox works on this computer and, if none, exactly what to do. ``coursekit grade doctor`` prints it."""

import shutil
import sys
from pathlib import Path

RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")  # Ubuntu 23.10 and newer
CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")  # older Debian
MOST = Path("/proc/sys/user/max_user_namespaces")
PROFILE = """\
sudo tee /etc/apparmor.d/coursekit-bwrap >/dev/null <<'END'
abi <abi/4.0>,
include <tunables/global>
profile coursekit-bwrap {program} flags=(unconfined) {{
  userns,
}}
END
sudo systemctl reload apparmor"""


def check() -> tuple[bool, list[str]]:
    """Whether submissions can be graded safely on this computer, and how each kind of box fares, a line each."""
    if sys.platform != "linux":
        place = "Grade in the container of deploy/grader, or on a Linux computer"
        return False, [
            f"sandbox: none on {sys.platform}. {place}. Learning, Validate and the visible checks work here."
        ]
    from .directory import course, is_course, places
    from .worker import sandbox  # Unix alone

    private = places(course()) if is_course(Path()) else ()
    reasons = {kind: sandbox.works(kind, private) for kind in ("bubblewrap", "landlock")}
    lines = [f"{kind}: {reason or 'works'}" for kind, reason in reasons.items()]
    usable = [kind for kind, reason in reasons.items() if not reason]
    if usable:
        lines.append(f"Submissions are graded in {usable[0]}.")
    if reasons["bubblewrap"]:
        lines.append(advice())
    return bool(usable), lines


def advice() -> str:
    """What makes bubblewrap work."""
    program = shutil.which("bwrap")
    if program is None:
        return "To do: install bubblewrap (`sudo apt install bubblewrap`, or dnf in place of apt), then run this again."
    if _reads(RESTRICTED) == 1:
        why = "this Ubuntu lets no program make user namespaces without an AppArmor profile"
        return f"To do: {why}. Give bubblewrap one:\n{PROFILE.format(program=program)}"
    for setting, path in (("kernel.unprivileged_userns_clone=1", CLONE), ("user.max_user_namespaces=15000", MOST)):
        if _reads(path) == 0:
            return f"To do: allow user namespaces: `sudo sysctl -w {setting}` (in /etc/sysctl.d to keep it)."
    return (
        "To do: in a container, allow user namespaces inside it (Docker: `--security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined`); elsewhere ask who runs this computer for unprivileged user namespaces."
    )


def _reads(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
