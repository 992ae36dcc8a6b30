"""Films read back, windows without a screen, and the commands that make them."""

import io
import json
import os
import re
import resource
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from rl_fn import commands, envs, random
from rl_fn.envs import registry
from rl_fn.media import films, window
from tests import drawn

POLICY = tf.constant(1)


def test_a_film_holds_the_pictures(tmp_path):
    pictures, _ = films.record_episode(drawn.agent(), drawn.make(), POLICY, random.key(0))
    path = tmp_path / "film.mp4"
    films.write(pictures, path, rate=20)
    read = iio.imread(path, plugin="FFMPEG")
    assert read.shape == (drawn.LENGTH, 32, 46, 3)
    # Lossy, and colours are kept at half the resolution: near, not equal.
    difference = abs(read[:, :31, :45].astype(int) - pictures)
    assert difference.mean() < 4
    assert read[:, 31].mean() < 12
    columns = read[:, 5, :, 0].argmax(axis=1)
    assert np.all(abs(columns - (3 * np.arange(drawn.LENGTH) + 1)) <= 2)
    metadata = iio.immeta(path, plugin="FFMPEG")
    assert metadata["codec"] == "h264"
    assert metadata["pix_fmt"].startswith("yuv420p")
    assert metadata["fps"] == 20
    assert sorted(tmp_path.iterdir()) == [path]


def test_even_sizes_stay_as_they_are(tmp_path):
    films.write([np.zeros([30, 50, 3], np.uint8)] * 3, tmp_path / "film.mp4")
    assert iio.imread(tmp_path / "film.mp4", plugin="FFMPEG").shape == (3, 30, 50, 3)


def test_what_is_no_film_is_refused_and_leaves_nothing(tmp_path):
    good = np.zeros([8, 8, 3], np.uint8)
    for pictures, message in [
        ([], "there are no pictures"),
        ([good.astype(np.float32)], "a picture is float32"),
        ([good[..., :1]], r"a picture is uint8 \(8, 8, 1\), expected uint8 \[H, W, 3\]"),
        ([good, good[:4]], r"a picture is \(4, 8, 3\) and the first was \(8, 8, 3\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            films.write(pictures, tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


def test_a_gif_is_short_small_and_repeats(tmp_path):
    pictures = [np.full([64, 640, 3], index % 200, np.uint8) for index in range(50 * 22)]
    films.write(pictures, tmp_path / "film.mp4", rate=50)
    films.write_gif(tmp_path / "film.mp4", tmp_path / "film.gif", rate=50)
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.size[0] == films.GIF_WIDTH
        assert abs(gif.n_frames - films.GIF_SECONDS * films.GIF_RATE) <= 1
        assert gif.info["duration"] == 1000 / films.GIF_RATE
        assert gif.info["loop"] == 0
    with pytest.raises(ValueError, match="cannot be turned into"):
        films.write_gif(tmp_path / "none.mp4", tmp_path / "none.gif")


def test_a_folder_with_a_colon_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("a:b")
    folder.mkdir()
    films.write([np.zeros([30, 50, 3], np.uint8)] * 3, folder / "film.mp4")
    films.write_gif(folder / "film.mp4", folder / "film.gif")
    assert sorted(path.name for path in folder.iterdir()) == ["film.gif", "film.mp4"]


def test_a_recorder_names_its_films_by_step_and_return(tmp_path):
    recorder = films.Recorder(drawn.agent(), drawn.make(), folder=tmp_path / "videos")
    assert recorder(POLICY, random.key(0), 100_000) == [6.0]
    assert recorder(POLICY, random.key(0), 200_000) == [6.0]
    several = films.Recorder(drawn.agent(), drawn.make(render_fps=None), folder=tmp_path / "videos", episodes=2)
    assert several(POLICY, random.key(0), 300_000) == [6.0, 6.0]
    rates = {path.name: imageio_rate(path) for path in sorted((tmp_path / "videos").glob("*.mp4"))}
    assert rates == {
        "step_00100000_return_6.0.mp4": 20,
        "step_00200000_return_6.0.mp4": 20,
        "step_00300000_episode_0_return_6.0.mp4": 30,
        "step_00300000_episode_1_return_6.0.mp4": 30,
    }
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == ["last.gif", *rates]
    with Image.open(tmp_path / "videos" / "last.gif") as gif:
        assert gif.size == (46, 32)


def imageio_rate(path):
    return iio.immeta(path, plugin="FFMPEG")["fps"]


def test_films_of_host_environments(tmp_path):
    for name in ("gymnasium:CartPole-v1", "ALE/Breakout-v5"):
        env = films.single(envs.make(name))
        agent = drawn.agent()
        recorder = films.Recorder(agent, env, folder=tmp_path / name)
        (episode_return,) = recorder(POLICY, random.key(1), 0)
        film = tmp_path / name / films.file_name(0, episode_return)
        metadata = iio.immeta(film, plugin="FFMPEG")
        assert metadata["fps"] == {"gymnasium:CartPole-v1": 50, "ALE/Breakout-v5": 15}[name]
        assert metadata["size"] == {"gymnasium:CartPole-v1": (600, 400), "ALE/Breakout-v5": (160, 210)}[name]
        if name == "gymnasium:CartPole-v1":
            assert len(iio.imread(film, plugin="FFMPEG")) == episode_return  # each step pays 1


def test_a_window_shows_pictures_at_their_pace(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    shown = window.Window("test", rate=50)
    begin = pygame.time.get_ticks()
    for index in range(10):
        shown.show(drawn.picture([index]))
    assert pygame.time.get_ticks() - begin >= 9 * 1000 / 50 * 0.9
    surface = pygame.display.get_surface()
    assert surface.get_size() == (drawn.WIDTH, drawn.HEIGHT)
    np.testing.assert_array_equal(pygame.surfarray.array3d(surface).swapaxes(0, 1), drawn.picture([9]))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    shown.show(drawn.picture([0]))
    assert not shown.is_open
    shown.show(drawn.picture([0]))
    shown.close()
    assert not pygame.display.get_init()


def test_a_closed_window_ends_the_playing(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    recorder = films.Recorder(drawn.agent(), drawn.make(), window=True, episodes=2)
    assert recorder(POLICY, random.key(0), 0) == [6.0, 6.0]
    recorder.close()
    assert recorder(POLICY, random.key(0), 0) == []


@pytest.fixture
def no_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def drawn_env():
    envs.register("Drawn-v0", "tests.drawn:make")
    yield
    del registry._entries["Drawn-v0"]


def train(folder, *flags):
    override = "num_envs=2,rollout_length=16,hidden_sizes=(8,)"
    common = ["--env", "Drawn-v0", "--train_steps", "640", "--eval_episodes", "2", "--eval_interval", "32"]
    common += ["--video_interval", "32", "--no_compilation_cache"]
    commands.main(
        ["train", "--hparams", "ppo", "--output_dir", str(folder), "--hparam_override", override, *common, *flags]
    )
    return json.loads((folder / "run_0" / "summary.json").read_text())


def test_the_commands_record_and_the_run_stays_the_same(tmp_path, drawn_env, capsys):
    copies = ["--copies", "2"]
    recorded = train(tmp_path / "films", *copies, "--record_video")
    plain = train(tmp_path / "plain", *copies)
    assert recorded["state_digest"] == plain["state_digest"]
    assert not (tmp_path / "plain" / "run_0" / "videos").exists()
    films = sorted(path.name for path in (tmp_path / "films" / "run_0" / "videos").glob("*.mp4"))
    assert films == [f"step_{32 * i:08d}_return_6.0.mp4" for i in range(1, 21)]
    assert not (tmp_path / "films" / "run_1" / "videos").exists()  # the first copy stands for all
    events = EventAccumulator(str(tmp_path / "films" / "run_0"), size_guidance={"tensors": 0}).Reload()
    shown = events.Tensors("eval/film")
    assert [event.step for event in shown] == [32 * i for i in range(1, 21)]
    width, height, film = (bytes(part) for part in make_ndarray(shown[-1].tensor_proto))
    gif = (tmp_path / "films" / "run_0" / "videos" / "last.gif").read_bytes()
    assert film == gif
    with Image.open(io.BytesIO(gif)) as picture:
        assert picture.size == (int(width), int(height))
    capsys.readouterr()
    commands.main(["play", str(tmp_path / "plain" / "run_0"), "--episodes", "2", "--record_video"])
    out = capsys.readouterr().out
    assert re.findall(r"episode (\d): return (\S+)", out) == [("0", "6.0"), ("1", "6.0")]
    assert sorted(os.listdir(tmp_path / "plain" / "run_0" / "videos")) == [
        "last.gif",
        "step_00000640_episode_0_return_6.0.mp4",
        "step_00000640_episode_1_return_6.0.mp4",
    ]


def test_a_package_of_ones_own_is_filmed(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1] / "own")
    small = ["--eval_episodes", "2", "--train_steps", "160", "--no_compilation_cache", "--record_video"]
    small += ["--eval_interval", "8", "--video_interval", "8"]
    commands.main(["train", "--import", "my_package", "--hparams", "corridor", "--output_dir", str(tmp_path), *small])
    commands.main(["play", "--import", "my_package", str(tmp_path / "run_0"), "--record_video"])
    names = sorted(path.name for path in (tmp_path / "run_0" / "videos").glob("*.mp4"))
    assert len(names) == 20 + 3
    assert iio.imread(tmp_path / "run_0" / "videos" / names[0], plugin="FFMPEG").shape[1:] == (16, 64, 3)


def test_without_a_display_rendering_is_refused_at_once(tmp_path, drawn_env, no_display, capsys):
    with pytest.raises(SystemExit) as exit_info:
        train(tmp_path / "new", "--render")
    assert exit_info.value.code == 2
    assert "there is no display to open a window on: DISPLAY is not set" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("limit", [1, 1_000])
def test_a_film_that_the_disk_has_no_room_for_leaves_nothing(limit, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, [40, 64, 64, 3], np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match=r"film\.mp4 cannot be written: ffmpeg did not come to its end|Broken pipe"):
            films.write(pictures, tmp_path / "film.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
