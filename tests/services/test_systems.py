"""Runs on other systems: what is asked of them, and that what they are given trains."""

import contextlib
import copy
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import kubernetes_validate
import pytest
import sky
import yaml
from ray.cluster_utils import Cluster

from rl_fn import systems
from rl_fn.commands import main
from rl_fn.runs import Run, RunConfig, checkpoint, stores
from rl_fn.systems import manifests, packing, ray, skypilot
from tests.services.stores import serving

ROOT = Path(__file__).parents[2]
SMALL = ["--hparams", "ppo_cartpole", "--hparam_override", "rollout_length=16,hidden_sizes=(16,)"]
SHORT = [*SMALL, "--train_steps", "1000", "--eval_episodes", "0", "--quiet"]


def asked(capsys, *args):
    """The task that a dry run shows, and the comments before it."""
    main(["train", *SMALL, "--dry_run", *args])
    out, error = capsys.readouterr()
    assert error == ""
    comments = [line for line in out.splitlines() if line.startswith("#")]
    return yaml.safe_load(out), comments


def refused(capsys, *args):
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert ended.value.code == 2
    return error


def job(folder="s3://bucket/run", *more):
    return packing.Job("rl-fn-test", ("train", *SMALL, "--output_dir", str(folder), *more), stores.path(folder), False)


def test_the_clouds_are_those_of_skypilot():
    assert set(systems.CLOUDS) == set(sky.CLOUD_REGISTRY)


@pytest.mark.parametrize(
    ("system", "accelerator", "infra", "found"),
    [
        ("gcp", "H100:1", "gcp", {"H100": 1}),
        ("aws", "A100:8", "aws", {"A100": 8}),
        ("azure", "A100:1", "azure", {"A100": 1}),
        ("kubernetes", "H100:1", "kubernetes", {"H100": 1}),
        ("tpu", "v5litepod-8", "gcp", {"tpu-v5litepod-8": 1}),
        ("tpu", None, "gcp", {"tpu-v5litepod-1": 1}),
        ("lambda", None, "lambda", None),
    ],
)
def test_a_dry_run_shows_a_task_that_skypilot_takes(system, accelerator, infra, found, capsys):
    more = [] if accelerator is None else ["--accelerator", accelerator]
    told, comments = asked(capsys, "--sys", system, *more, "--output_dir", "gs://bucket/run", "--seed", "3")
    (resources,) = sky.Task.from_yaml_config(copy.deepcopy(told)).resources
    assert (told["resources"]["infra"], told["resources"].get("accelerators")) == (infra, found)
    assert resources.use_spot == (system not in ("kubernetes", "lambda"))  # which sell none
    assert resources.job_recovery["recover_on_exit_codes"] == [130]
    command = told["run"].splitlines()[-1].partition(" -m rl_fn ")[2]
    override = "--hparam_override='rollout_length=16,hidden_sizes=(16,)'"
    assert command.replace("'--hparam_override=", "--hparam_override='") == (
        f"train --hparams=ppo_cartpole --output_dir=gs://bucket/run {override} --seed=3"
    )
    assert "workdir" not in told
    needed = {"tpu": "tensorflow-tpu==2.20", "lambda": " tensorflow=="}.get(system, "tensorflow[and-cuda]==")
    assert needed in told["setup"]
    assert "s3fs" in told["setup"]
    assert any("price" in line for line in comments)


def test_on_demand_and_extras_are_asked_for(capsys):
    told, comments = asked(capsys, "--sys", "aws", "--no_spot", "--extras", "video", "--output_dir", "s3://bucket/run")
    assert not told["resources"].get("use_spot")
    assert "on demand" in comments[1]
    assert "imageio[ffmpeg]" in told["setup"]
    assert "gymnasium[classic-control]" in told["setup"]  # by way of another extra
    assert "rl-fn[" not in told["setup"]


def test_what_the_settings_need_is_installed_there_and_a_tracker_finds_its_server(capsys, monkeypatch):
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)  # that a tracked run of this process has set
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000")
    monkeypatch.setenv("WANDB_API_KEY", "of another")
    settings = ["--track", "mlflow", "--env", "ALE/Pong-v5", "--num_workers", "2", "--record_video", "--extras", "plot"]
    told, comments = asked(capsys, "--sys", "gcp", "--output_dir", "gs://bucket/run", *settings)
    for package in ("gcsfs", "mlflow", "ale-py", "ray", "imageio[ffmpeg]", "matplotlib"):
        assert f"{package}>=" in told["setup"]
    assert told["setup"].count("mlflow") == 1
    assert told["secrets"] == {"MLFLOW_TRACKING_URI": None}  # what is printed has no password in it
    assert (
        "# secrets: taken from the environment here; sky asks for MLFLOW_TRACKING_URI, each with --secret" in comments
    )


def test_the_price_is_that_of_the_catalogue(tmp_path):
    catalogue = tmp_path / ".sky" / "catalogs" / "v8"
    (catalogue / "common").mkdir(parents=True)
    (catalogue / "gcp").mkdir()
    (catalogue / "common" / "accelerators.csv").write_text("AcceleratorName,Clouds\nH100,\"['GCP']\"\n")
    head = (
        "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Region,AvailabilityZone,Price,SpotPrice"
    )
    offers = [  # Google's prices are those of a machine and of what is put into it
        "a3-highgpu-1g,26,234,,,,us-east4,us-east4-a,3.0,1.0",
        ",,,H100,1,H100,us-east4,us-east4-a,7.5,2.25",
    ]
    (catalogue / "gcp" / "vms.csv").write_text("\n".join([head, *offers]) + "\n")
    (catalogue / "gcp" / "images.csv").write_text("Tag,Region,OS,OSVersion,ImageId,CreationDate\n")
    command = [
        "train",
        *SMALL,
        "--sys",
        "gcp",
        "--accelerator",
        "H100:1",
        "--output_dir",
        "gs://bucket/run",
        "--dry_run",
    ]
    told = subprocess.run(
        [sys.executable, "-m", "rl_fn", *command],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr
    assert "# price: 3.25 USD an hour at least, for GCP(a3-highgpu-1g" in told.stdout


def test_modules_and_files_of_the_working_folder_are_sent(capsys, monkeypatch, tmp_path):
    (tmp_path / "mine_for_test.py").write_text("")
    (tmp_path / "mine.toml").write_text('agent = "ppo"\nenv = "CartPole-v1"\n')
    (tmp_path / "requirements.txt").write_text("einops\n")
    monkeypatch.chdir(tmp_path)
    args = ["train", "--sys", "gcp", "--dry_run", "--output_dir", "gs://bucket/run"]
    main([*args, "--hparams", str(tmp_path / "mine.toml"), "--import", "mine_for_test"])
    told = yaml.safe_load(capsys.readouterr().out)
    assert told["workdir"] == str(tmp_path)
    assert "--hparams=mine.toml" in told["run"]
    assert "--import=mine_for_test" in told["run"]
    assert "--requirement requirements.txt" in told["setup"]
    monkeypatch.chdir(tmp_path.parent / "..")
    (tmp_path.parent / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path.parent / "elsewhere")
    sentence = refused(capsys, *args, "--hparams", str(tmp_path / "mine.toml"))
    assert "expected something below" in sentence


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--sys", "gpc"], "unknown sys 'gpc'; the nearest is 'gcp'"),
        (["--sys", "gcp"], "--sys gcp needs --output_dir"),
        (["--sys", "gcp", "--output_dir", "runs/here"], "the machine is given back with its disk"),
        (
            ["--sys", "aws", "--accelerator", "v5litepod-8", "--output_dir", "s3://b/r"],
            "Cloud must be GCP or Kubernetes",
        ),
        (["--sys", "gcp", "--accelerator", "H100:many", "--output_dir", "gs://b/r"], "SkyPilot refuses"),
        (["--sys", "gcp", "--extras", "vidio", "--output_dir", "gs://b/r"], "unknown extra 'vidio'"),
        (["--sys", "gcp", "--output_dir", "gs://b/r", "--render"], "render shows a window"),
        (["--sys", "gcp", "--output_dir", "gs://b/r", "--seed", "-1"], "seed is -1"),
        (["--sys", "ray", "--output_dir", "s3://b/r"], "--sys ray needs --ray_address"),
        (["--sys", "lambda", "--spot", "--output_dir", "s3://b/r"], "SkyPilot refuses --sys lambda"),
        (["--sys", "gcp", "--track", "mlflow", "--output_dir", "gs://b/r"], "track mlflow needs a track_uri"),
        (["--sys", "tpu", "--devices", "4", "--output_dir", "gs://b/r"], "devices is 4, expected 1 on TPUs"),
        (["--dry_run"], "name one, such as --sys gcp"),
    ],
)
def test_what_cannot_be_is_refused_before_a_machine_is_asked_for(args, sentence, capsys, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert sentence in refused(capsys, "train", *SMALL, *args)


def test_what_a_machine_is_given_trains(tmp_path, monkeypatch):
    """Its files are copied, and its script is run, as SkyPilot does it; only the packages are those of here."""
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / "my_sets.py").write_text(
        "from rl_fn import sets\nsets.register('mine', agent='ppo', env='CartPole-v1', doc='Mine.',"
        " values={'rollout_length': 16, 'hidden_sizes': (16,)})\n"
    )
    monkeypatch.chdir(sent)
    with serving() as server:
        words = ["train", "--import=my_sets", "--hparams=mine", "--output_dir=s3://bucket/sent", *SHORT[4:]]
        handed = packing.Job("rl-fn-mine", tuple(words), stores.path("s3://bucket/sent"), sends_folder=True)
        task = skypilot.make(handed, "gcp", None, is_spot=True, extras=[])
        home = tmp_path / "home" / ".rl_fn"
        home.mkdir(parents=True)
        (home / "env").symlink_to(sys.prefix)
        ((there, here),) = task.file_mounts.items()
        (home.parent / there.removeprefix("~/")).symlink_to(here)
        subprocess.run(
            ["bash", "-c", f"export HOME={home.parent}\n{task.run}"], cwd=task.workdir, check=True, timeout=300
        )
        assert json.loads(server.read("sent/run_0/summary.json"))["env_steps"] >= 1000


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def test_a_run_on_a_cluster_of_ray_is_stopped_there_and_saves(cluster, tmp_path):
    @contextlib.contextmanager
    def stopping(stop):
        def wait():
            while not saved():
                time.sleep(0.1)
            stop()

        threading.Thread(target=wait, daemon=True).start()
        yield

    saved = lambda: checkpoint.list_iterations(tmp_path / "run_0" / "checkpoints")
    flags = ["--train_steps", "100000000", "--checkpoint_seconds", "0", "--eval_episodes", "0", "--quiet"]
    words = ("train", *SMALL, *flags, "--output_dir", str(tmp_path))
    handed = packing.Job("rl-fn-test", words, tmp_path, sends_folder=False)
    assert ray.train(handed, cluster.address, None, stopping) == 130
    assert saved()


def test_a_run_on_a_cluster_of_ray_has_the_bits_of_one_here(cluster, tmp_path):
    main(["train", *SHORT, "--sys", "ray", "--ray_address", cluster.address, "--output_dir", str(tmp_path / "there")])
    there = json.loads((tmp_path / "there" / "run_0" / "summary.json").read_text())
    settings = {"hparam_override": SMALL[3], "train_steps": 1000, "eval_episodes": 0}
    here = Run.from_config(RunConfig(hparams="ppo_cartpole", output_dir=tmp_path / "here", **settings))
    list(here)
    assert there["state_digest"] == here.summary["state_digest"]


def test_a_place_on_a_cluster_is_described(capsys):
    main(
        [
            "train",
            *SMALL,
            "--sys",
            "ray",
            "--ray_address",
            "auto",
            "--accelerator",
            "H100:2",
            "--output_dir",
            "/x",
            "--num_workers",
            "2",
            "--dry_run",
        ]
    )
    out = capsys.readouterr().out
    assert "num_gpus=2, accelerator_type=H100, which must have rl-fn[workers]" in out
    assert out.splitlines()[-1].startswith("rl-fn train --hparams=ppo_cartpole --output_dir=/x")


def valid(manifest):
    kubernetes_validate.validate(manifest, "1.30", strict=True)


def pods(ray_job):
    cluster = ray_job["spec"]["rayClusterSpec"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_a_job_for_kubernetes_is_valid(capsys, tmp_path):
    asked = [
        "--accelerator",
        "v5litepod-8",
        "--secret",
        "keys",
        "--volume",
        "runs",
        "--output",
        str(tmp_path / "job.yaml"),
    ]
    main(["manifest", *SMALL, "--image", "rl-fn:1", "--output_dir", "/runs/ppo", *asked])
    made = yaml.safe_load((tmp_path / "job.yaml").read_text())
    valid(made)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][:3] == ["train", "--hparams=ppo_cartpole", "--output_dir=/runs/ppo"]
    assert container["resources"]["limits"]["google.com/tpu"] == "8"
    assert pod["securityContext"]["runAsNonRoot"]
    made["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        valid(made)


def test_several_workers_are_a_job_of_kuberay_with_valid_pods():
    made = yaml.safe_load(manifests.to_yaml(manifests.make(job(), "rl-fn:1", num_workers=3, accelerator="gpu:2")))
    assert (made["apiVersion"], made["kind"]) == ("ray.io/v1", "RayJob")
    assert made["spec"]["entrypoint"].endswith("--output_dir s3://bucket/run --ray_address auto")
    head, workers = pods(made)
    for template in (head, workers):
        valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": template["spec"]})
    assert head["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in workers["spec"]["containers"][0]["resources"]["limits"]
    assert made["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"] == 3


def test_pods_that_would_lose_what_is_learned_are_refused(capsys):
    assert "the disk of a pod goes with it" in refused(
        capsys, "manifest", *SMALL, "--image", "x", "--output_dir", "runs/x"
    )
    sentence = refused(
        capsys, "manifest", *SMALL, "--image", "x", "--output_dir", "s3://b/r", "--accelerator", "H100:1"
    )
    assert "expected gpu, gpu:N or one of v5litepod-1" in sentence
