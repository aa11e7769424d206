"""What deploy/ promises: limits, one's own files and no more, versions that are pinned, and no secret."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
VALUES = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))["jupyterhub"]
SERVER = VALUES["singleuser"]
OURS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "templates" / "course.yaml").read_text(encoding="utf-8")))
IMAGES = sorted(DEPLOY.glob("*/Dockerfile"))
INSTRUCTORS = VALUES["hub"]["config"]["KubeSpawner"]["group_overrides"]["instructors"]


def dockerfile(folder: str) -> str:
    return (DEPLOY / folder / "Dockerfile").read_text(encoding="utf-8")


# --- Kubernetes ---


def test_every_server_is_limited_and_one_profile_has_a_gpu() -> None:
    assert SERVER["cpu"]["limit"] >= SERVER["cpu"]["guarantee"] > 0
    assert {SERVER["memory"]["limit"], SERVER["memory"]["guarantee"]} == {"4G", "2G"}
    assert int(SERVER["extraEnv"]["OMP_NUM_THREADS"]) == SERVER["cpu"]["limit"]
    cpu, gpu = SERVER["profileList"]
    assert cpu["default"]
    assert "kubespawner_override" not in cpu
    assert gpu["kubespawner_override"]["extra_resource_limits"] == {"nvidia.com/gpu": "1"}
    assert gpu["kubespawner_override"].keys() >= {"cpu_limit", "mem_limit"}
    (quota,) = (resource for resource in OURS if resource["kind"] == "ResourceQuota")
    assert "requests.nvidia.com/gpu" in quota["spec"]["hard"]


def test_the_data_are_one_volume_that_no_server_writes_to() -> None:
    (volume,), (mount,) = SERVER["storage"]["extraVolumes"], SERVER["storage"]["extraVolumeMounts"]
    claim = next(resource for resource in OURS if resource["kind"] == "PersistentVolumeClaim")
    assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"], "readOnly": True}
    assert mount == {"name": volume["name"], "mountPath": SERVER["extraEnv"]["COURSEKIT_DATA"], "readOnly": True}
    job = next(resource for resource in OURS if resource["kind"] == "Job")["spec"]["template"]["spec"]
    (fetch,) = job["containers"]
    assert fetch["env"] == [{"name": "COURSEKIT_DATA", "value": mount["mountPath"]}]
    assert fetch["volumeMounts"] == [{"name": volume["name"], "mountPath": mount["mountPath"]}]


def test_servers_reach_neither_the_cluster_nor_each_other_and_instructors_the_gradebook() -> None:
    policy = SERVER["networkPolicy"]
    assert policy["enabled"]
    assert not policy["egressAllowRules"]["privateIPs"]
    assert not policy["egressAllowRules"]["cloudMetadataServer"]
    (egress,) = (resource["spec"] for resource in OURS if resource["kind"] == "NetworkPolicy")
    assert egress["podSelector"]["matchLabels"] == INSTRUCTORS["spawner_override"]["extra_labels"]
    assert egress["egress"] == [{"ports": [{"protocol": "TCP", "port": 5432}]}]
    groups = VALUES["hub"]["config"]["JupyterHub"]["load_groups"]
    assert INSTRUCTORS["groups"] == list(groups) == ["instructors"]


def test_the_gradebooks_address_comes_from_a_secret_and_to_instructors_alone() -> None:
    address = INSTRUCTORS["spawner_override"]["environment"]["COURSEKIT_GRADEBOOK"]
    assert address == {"valueFrom": {"secretKeyRef": {"name": "gradebook", "key": "url"}}}
    assert "COURSEKIT_GRADEBOOK" not in SERVER["extraEnv"]


def test_nobody_enters_without_an_account() -> None:
    authenticator = VALUES["hub"]["config"]["JupyterHub"]["authenticator_class"]
    assert "dummy" not in authenticator.lower()
    assert authenticator.rpartition(".")[2] in VALUES["hub"]["config"]  # set up, not only named


def keys(tree: object) -> list[tuple[str, object]]:
    """Every key with its value, however deep."""
    if isinstance(tree, list):
        return [pair for branch in tree for pair in keys(branch)]
    return (
        [pair for key, value in tree.items() for pair in [(key, value), *keys(value)]] if isinstance(tree, dict) else []
    )


def test_no_secret_stands_in_a_file() -> None:
    for key, value in keys([VALUES, OURS]):
        assert not isinstance(value, str) or not re.search(r"password|token|secret", key, re.IGNORECASE), key
        assert not re.search(r"://[^/\s]*:[^/\s]*@", str(value)), key


# --- images ---


def test_versions_are_pinned() -> None:
    chart = yaml.safe_load((DEPLOY / "kubernetes" / "Chart.yaml").read_text(encoding="utf-8"))
    for dependency in chart["dependencies"]:
        assert re.fullmatch(r"\d+\.\d+\.\d+", dependency["version"])
    gpu = SERVER["profileList"][1]["kubespawner_override"]["image"]
    images = [gpu, "{name}:{tag}".format(**SERVER["image"])]
    images += [
        line.split()[1]
        for path in IMAGES
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("FROM")
    ]
    assert len(images) == 5
    for image in images:
        assert re.search(r":\d[\w.-]*$", image), image
    (hub,) = re.findall(r"jupyterhub==(\S+)", dockerfile("kubernetes"))
    assert f"runs JupyterHub {hub}," in (DEPLOY / "kubernetes" / "Chart.yaml").read_text(encoding="utf-8")


def test_the_images_pytorch_is_one_that_the_course_takes() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    bounds = {requirement.name: requirement.specifier for requirement in map(Requirement, asked)}
    lines = (DEPLOY / "torch.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned.keys() == {"torch", "torchvision"}
    for name, version in pinned.items():
        assert version in bounds[name]
    assert all("deploy/torch.txt" in dockerfile(folder) for folder in ("kubernetes", "gpu-runner"))


@pytest.mark.parametrize(
    "path", [path for path in IMAGES if path.parent.name != "gpu-runner"], ids=lambda p: p.parent.name
)
def test_an_image_is_built_from_all_that_is_installed(path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = re.findall(r"^COPY (.+) /library", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sources = {str(Path(source).parent) for source in wheel["shared-data"]} | set(wheel["packages"])
    assert sources <= {name for line in copied for name in line.split()}
    assert all((ROOT / name).exists() for line in copied for name in line.split())


# --- the GPU runner ---


@pytest.mark.skipif(sys.platform != "linux", reason="the GPU runner's script is for Linux")
def test_the_gpu_runner_takes_one_job_in_a_container_that_goes_away(tmp_path: Path) -> None:
    for name, body in {"gh": "echo ONE-USE", "docker": 'echo "$ACTIONS_RUNNER_INPUT_JITCONFIG"'}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n{body}\n')
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = DEPLOY / "gpu-runner" / "run-a-job.sh"
    ended = subprocess.run([script, "owner/course"], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "ONE-USE\n"), ended.stderr
    gh, docker = (tmp_path / "calls").read_text().splitlines()
    assert "POST repos/owner/course/actions/runners/generate-jitconfig" in gh
    (job,) = yaml.safe_load((ROOT / ".github/workflows/gpu.yml").read_text(encoding="utf-8"))["jobs"].values()
    assert re.findall(r"labels\[\]=(\S+)", gh) == job["runs-on"]
    options = docker.split()
    assert {"--rm", "--cpus", "--memory", "--pids-limit", "no-new-privileges"} <= set(options)
    assert not {"-v", "--volume", "--mount", "--privileged"} & set(options)
    assert "ONE-USE" not in docker  # an argument is seen by everybody on the machine
    ended = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "say for which repository" in ended.stderr
