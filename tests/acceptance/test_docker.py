"""The deployment files fit the program: commands, variables, paths and metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from eventbus.api import metrics
from eventbus.cli import COMMANDS
from eventbus.settings import Settings

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["serve", "process"])
def test_the_services_run_commands_with_settings_that_exist(name: str) -> None:
    """A service's command is one of ours, and each variable is read by somebody."""
    service = COMPOSE["services"][name]
    assert service["command"][0] in COMMANDS
    known = {"KAFKA_BROKERS", "DATABASE_URL", "APP_ENV", "ENABLE_MOCK_EVENTS"}
    known |= {f"EVENTBUS_{field.upper()}" for field in Settings.model_fields}
    assert set(service["environment"]) <= known


def test_the_files_that_are_mounted_and_copied_exist() -> None:
    """Paths in the compose file and in the Dockerfile are those of the repository."""
    mounts = [v for service in COMPOSE["services"].values() for v in service.get("volumes", []) if v.startswith("./")]
    assert mounts
    for mount in mounts:
        assert (DOCKER / mount.split(":")[0]).exists(), mount
    for line in re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for path in line.split():
            assert (DOCKER.parent / path).exists(), path


def test_the_image_gets_the_pinned_versions() -> None:
    """The Dockerfile's way from the lock to constraints leaves one version, and its markers, a line."""
    [script] = re.findall(r"sed -E '(.*)' requirements.lock", DOCKERFILE)
    lock = DOCKER.parent / "requirements.lock"
    lines = subprocess.run(["sed", "-E", script, str(lock)], capture_output=True, text=True, check=True).stdout
    assert all(re.match(r"^[a-z0-9._-]+(\[.*\])?==\S+( ; .*)?$", line) for line in lines.splitlines() if line)


def test_the_dashboard_shows_metrics_that_exist() -> None:
    """Each metric of the dashboard is exposed under that name."""
    source = Path(metrics.__file__).read_text()
    dashboard = json.loads((DOCKER / "grafana/dashboards/eventbus.json").read_text())
    queries = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    names = set(re.findall(r"eventbus_\w+", queries))
    assert names
    for name in names:
        assert re.sub(r"_(total|bucket)$", "", name) in source, name


def test_compose_accepts_the_file() -> None:
    """`docker compose config` finds nothing wrong, where that program is."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    done = subprocess.run(
        [docker, "compose", "-f", str(DOCKER / "compose.yaml"), "--profile", "monitoring", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
