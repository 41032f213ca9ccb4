"""What a container is made of is there, and gives nothing away; building it is not tried here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICES = yaml.safe_load(COMPOSE)["services"]


def test_what_is_copied_is_there_and_let_in() -> None:
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_in[0] == "*"
    assert {"app.py", "vmr", "feature_extract", "assets", "requirements-gpu.txt"} <= {*copied}
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in let_in or name.startswith("requirements")


def test_every_requirement_is_installed_by_the_lock() -> None:
    installs = re.findall(r"pip install (?:.*\\\n)*.*", DOCKERFILE)
    assert len(installs) == 2
    for install in installs:
        assert install.count("pip install") == install.count("-c requirements.lock") == 2


def test_both_processors_have_a_stage() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert {"cpu", "gpu"} <= {*stages}
    assert stages[-1] == "cpu"  # what is built where nothing is said
    assert SERVICES["page"]["build"]["target"] == "cpu"
    assert "USER 1000" in DOCKERFILE


def test_the_services_are_pinned_and_keep_secrets_and_ports_to_themselves() -> None:
    assert {"page", "postgres", "store", "milvus"} <= SERVICES.keys()
    for name, service in SERVICES.items():
        if "build" not in service:
            assert re.search(r":v?\d", service["image"]), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or "SECRET" in key:
                assert re.fullmatch(r"\$\{MOMENTS_PASSWORD(:\?.*)?\}", value), key
        for needed in service.get("depends_on", {}):
            assert needed in SERVICES


@pytest.mark.cluster
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
