"""Runs whose output folder is on an object store."""

import csv
import gc
import io
import json
import shutil
import signal

import pytest

from rl_fn.commands import main
from rl_fn.runs import Run, RunConfig, load, stores
from tests.commands import processes
from tests.runs import stored
from tests.services.stores import serving

FLAGS = ["--hparams", "ppo_cartpole", "--hparam_override", "rollout_length=16,hidden_sizes=(16,)"]
SMALL = [*FLAGS, "--train_steps", "1000", "--eval_episodes", "2", "--eval_interval", "100", "--checkpoint_seconds", "0"]


def nothing(method, name):
    """Every request is answered."""


@pytest.fixture(scope="module")
def started():
    with serving() as server:
        yield server


@pytest.fixture
def server(started):
    yield started
    started.hook = nothing


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that is not on a store, and that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    list(Run.from_config(settings(folder)))
    return folder / "run_0"


def settings(folder, **changes):
    return RunConfig(
        **{
            "hparams": "ppo_cartpole",
            "output_dir": folder,
            "hparam_override": SMALL[3],
            "train_steps": 1_000,
            "eval_episodes": 2,
            "eval_interval": 100,
            "checkpoint_seconds": 0.0,
            **changes,
        }
    )


def make(address, copies=1):
    """The storage of a run that copies each checkpoint to the store."""
    return stored.make(stores.path(address), copies, checkpoint_seconds=0.0)


def curves(text):
    """A table without the times, which differ from run to run."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


def digest(text):
    return json.loads(text)["state_digest"]


@pytest.mark.slow
def test_a_run_killed_during_its_uploads_ends_with_the_same_bits(server, whole):
    def checkpoints():
        return server.names("killed/run_0/checkpoints/iteration")

    def killing(process, is_moment):
        def hook(method, name):
            if process and process[0].poll() is None and is_moment(method, name):
                process[0].kill()
                process[0].wait()
                return "500 Internal Server Error"
            return None

        return hook

    moments = [
        lambda method, name: method == "PUT" and "checkpoints/iteration" in name and len(checkpoints()) == 1,
        lambda method, name: method == "PUT" and name.endswith("metrics.csv") and len(checkpoints()) == 2,
        # The newest checkpoint is there, and the oldest was not deleted yet.
        lambda method, name: method in ("DELETE", "POST") and len(checkpoints()) > 3,
    ]
    newest = []
    for is_moment in moments:
        process = []
        server.hook = killing(process, is_moment)
        process.append(processes.start("train", *SMALL, "--output_dir", "s3://bucket/killed", "--quiet"))
        code, _, error = processes.finish(process[0])
        assert code == -signal.SIGKILL, error
        newest.append(max(checkpoints()))
    server.hook = nothing
    assert newest == sorted(set(newest))
    resumed = Run.from_config(settings("s3://bucket/killed"))
    list(resumed)
    assert any("going on from the checkpoint at" in note for note in resumed.notes)
    assert digest(server.read("killed/run_0/summary.json")) == digest((whole / "summary.json").read_text())
    assert curves(server.read("killed/run_0/metrics.csv").decode()) == curves((whole / "metrics.csv").read_text())
    assert len(checkpoints()) == 3
    assert any("events.out.tfevents" in name for name in server.names("killed"))
    assert not [name for name in server.names("killed") if "unfinished" in name or name.endswith(".lock")]


def test_what_was_learned_is_used_from_the_store(server, whole, tmp_path, capsys):
    for file in whole.rglob("*"):
        if file.is_file():
            server.client.upload_file(str(file), "bucket", f"used/run_0/{file.relative_to(whole).as_posix()}")
    assert load("s3://bucket/used").env_steps == load(whole).env_steps
    main(["evaluate", "s3://bucket/used", "--episodes", "2"])
    main(["plot", "s3://bucket/used", "--output", str(tmp_path / "curves.png")])
    main(["train", *SMALL, "--output_dir", "s3://bucket/used"])
    assert "s3://bucket/used holds this run, finished; nothing to do" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["play", "s3://bucket/used", "--record_video"])
    assert "expected one of this machine and not s3://bucket/used" in capsys.readouterr().err
    begins = Run.from_config(settings(tmp_path / "next", init_from="s3://bucket/used"))
    begins.start()
    assert any("begins with what s3://bucket/used had learned" in note for note in begins.notes)


def test_checkpoints_of_all_copies_are_there_before_older_ones_go(server):
    seen = []
    server.hook = lambda method, name: seen.append((method, name)) if method != "GET" else None
    stored.save(make("s3://bucket/order", copies=2), 10, 20, 30, 40)
    server.hook = nothing
    at = {name: index for index, (method, name) in enumerate(seen) if method == "PUT"}
    checkpoint = "order/run_{}/checkpoints/iteration_{:012d}.npz".format
    assert max(at[f"order/run_{copy}/config.json"] for copy in (0, 1)) < at[checkpoint(0, 10)]
    places = [at[checkpoint(copy, iteration)] for iteration in (10, 20, 30, 40) for copy in (0, 1)]
    assert places == sorted(places)
    deleted = [index for index, (method, name) in enumerate(seen) if method in ("DELETE", "POST")]
    assert deleted
    assert min(deleted) > at[checkpoint(1, 40)]
    assert stored.restored(stores.path("s3://bucket/order"), copies=2)[0] == 40


def test_a_checkpoint_that_one_copy_lacks_is_passed_over(server):
    stored.save(make("s3://bucket/lacks", copies=2), 10, 20)
    server.client.delete_object(Bucket="bucket", Key="lacks/run_1/checkpoints/iteration_000000000020.npz")
    assert stored.restored(stores.path("s3://bucket/lacks"), copies=2)[0] == 10


def test_of_two_runs_on_one_folder_the_later_one_goes_on(server):
    first, second = (make("s3://bucket/two") for _ in range(2))

    def overtaken():
        with first.locked():
            first.prepare()
            assert "another run has gone on in s3://bucket/two since" in stored.sentence(second.locked().__enter__)
            stored.save(make("s3://bucket/two"), 10)
            first.save(20, [stored.state(20)], {"due": None})

    assert stored.sentence(overtaken) == "another run has gone on in s3://bucket/two: this one has stopped"
    assert [name[-6:] for name in server.names("two/run_0/checkpoints")] == ["10.npz"]


def test_a_folder_that_was_deleted_is_written_again(server):
    storage = make("s3://bucket/gone")
    with storage.locked():
        storage.prepare()
        storage.save(10, [stored.state(10)], {"due": None})
        for name in server.names("gone"):
            server.client.delete_object(Bucket="bucket", Key=name)
        storage.save(20, [stored.state(20)], {"due": None})
    assert stored.restored(stores.path("s3://bucket/gone"))[0] == 20


def test_a_store_that_refuses_for_a_while_is_tried_again(server):
    storage = make("s3://bucket/away")
    with storage.locked():
        storage.prepare()
        server.hook = lambda method, name: "403 Forbidden" if method == "PUT" else None
        storage.save(10, [stored.state(10)], {"due": None})
        storage.save(20, [stored.state(20)], {"due": None})
        assert [note for note in storage.notes if "cannot be written" in note and "the run goes on" in note]
        server.hook = nothing
    assert stored.restored(stores.path("s3://bucket/away"))[0] == 20


def test_what_a_store_never_took_is_kept_and_named(server):
    folders = []

    def refused():
        storage = make("s3://bucket/never")
        folders.append(storage.output_dir)
        with storage.locked():
            storage.prepare()
            storage.save(10, [stored.state(10)], {"due": None})
            server.hook = lambda method, name: "403 Forbidden" if method == "PUT" else None
            storage.save(20, [stored.state(20)], {"due": None})

    told = stored.sentence(refused)
    gc.collect()
    (folder,) = folders
    assert told.startswith("s3://bucket/never cannot be written: ")
    assert told.endswith(f"; what the run has written is in {folder}")
    assert (folder / "run_0" / "checkpoints" / "iteration_000000000020.npz").exists()
    shutil.rmtree(folder.parent)


def test_what_is_saved_beside_the_training_is_copied_there(server):
    storage = make("s3://bucket/beside")
    with storage.locked():
        storage.prepare()
        storage.save_best(10, 0, {"w": stored.state(1).params["w"]}, 1.0, beside=True)
        storage.save_beside(10, [stored.state(10)], {"due": None})
        storage.settle()
        names = [name.rpartition("checkpoints/")[2] for name in server.names("beside/run_0/checkpoints")]
        assert names == ["best/iteration_000000000010.npz", "iteration_000000000010.npz"]


def test_films_stay_in_the_store(server):
    server.client.put_object(Bucket="bucket", Key="films/run_0/videos/a.mp4", Body=b"film")
    storage = stored.save(make("s3://bucket/films"), 10)
    assert not (storage.output_dir / "run_0" / "videos").exists()
    assert "films/run_0/videos/a.mp4" in server.names("films")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s3://nowhere/run", "s3://nowhere/run cannot be used: The specified bucket does not exist"),
        ("s3://bucket", "s3://bucket is no folder on a store, expected one such as s3://bucket/run"),
        ("s4://bucket/run", "s4://bucket/run cannot be used: Protocol not known: s4"),
        ("dropbox://run", "dropbox://run cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_a_sentence(server, address, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", *SMALL, "--output_dir", address])
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told
