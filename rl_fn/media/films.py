"""Episodes as people see them: films on the disk, or a window. Needs the `video` extra.

folder/step_00100000_return_487.0.mp4   one per recorded episode
folder/last.gif                         the last of them, small, for a README
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src.loops.chunks import Stop, Stopped, never
from rl_fn._src.loops.evaluate import step_limit
from rl_fn._src.loops.host_actors import HostPlayer
from rl_fn._src.loops.rollout import ActorsState, act_and_step, init_actors
from rl_fn._src.xla.calls import graph
from rl_fn.agents.base import Agent
from rl_fn.envs import registry
from rl_fn.envs.base import Env, judged
from rl_fn.envs.host.worker import GivenUp
from rl_fn.media.window import Window
from rl_fn.struct import Nest

FRAME_RATE = 30  # pictures per second, where the environment does not say
GIF_SECONDS, GIF_RATE, GIF_WIDTH = 20, 25, 320  # at most

Episode: TypeAlias = Iterator["Moment"]


class Moment(NamedTuple):
    picture: Any  # uint8[H, W, 3], before the step; None where nothing is drawn
    reward: float  # of the step


def player(agent: Agent, env: Any, pictures: bool = True, max_steps: int | None = None) -> Callable[..., Episode]:
    """Makes a function that plays one episode with exploration off.

    A compiled environment is stepped on the device, a batch of one, and drawn on the host. Its episodes are
    those of `loops.evaluate(agent, env, 1, chunk=1)` with the same key, a host environment's those of
    `loops.host_evaluate(agent, env, 1)`.

    Args:
      agent: whose `act` chooses, in mode "eval".
      env: a compiled environment, or a host environment of `num_envs` 1.
      pictures: whether to draw.
      max_steps: where an episode is cut that has not ended, as in an evaluation.

    Returns:
      A function `(policy, key, stop=never) -> episode` that yields a Moment per step. It raises `loops.Stopped` where
      `stop`, asked before each step, says true.

    Raises:
      ValueError: if there is nothing to draw with, or the package that draws is missing, or the host environment is
        more than one, or `max_steps` is less than 1.
    """
    if pictures:
        _silence_sdl()
    env = judged(env) if isinstance(env, Env) else env
    limit = step_limit(env.spec, max_steps)
    if not isinstance(env, Env):
        return _host_player(agent, env, pictures, limit)
    draw = env.render if pictures else lambda state: None
    if draw is None:
        raise ValueError(f"{env.spec.name} has no pictures: it cannot be recorded or shown")

    def step(policy: Nest, actors: ActorsState, key: random.Key, count: tf.Tensor) -> tuple:
        keys = random.split(random.fold_in(key, count))
        actors, transition, _ = act_and_step(agent, env, policy, actors, keys, "eval")
        return actors, transition.reward[0], transition.is_last[0]

    start_fn = graph(lambda key: init_actors(agent, env, 1, random.fold_in(key, 0)))
    step_fn = graph(step, jit_compile=True)
    try:
        draw(_one(start_fn(random.key(0)).env))  # refuses now, where what draws is not installed
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None

    def episode(policy: Nest, key: random.Key, stop: Stop = never) -> Episode:
        actors = start_fn(key)
        for count in range(1, limit + 1):
            if stop():
                raise Stopped(f"the film of {env.spec.name} was told to stop")
            picture = draw(_one(actors.env))
            actors, reward, is_last = step_fn(policy, actors, key, tf.constant(count))
            yield Moment(picture, float(reward))
            if is_last:
                return

    return episode


def _one(env_state: Nest) -> Nest:
    """The state of a batch of one, as `render` takes it."""
    return tf.nest.map_structure(lambda leaf: leaf[0].numpy(), env_state)


def _host_player(agent: Agent, env: Any, pictures: bool, limit: int) -> Callable[..., Episode]:
    if env.num_envs != 1:
        raise ValueError(f"{env.spec.name} has num_envs {env.num_envs}, expected 1 to record or show it")
    if pictures:  # refuses now, where there are none
        env.reset(0)
        env.render()
    host = HostPlayer(agent, env)

    def episode(policy: Nest, key: random.Key, stop: Stop = never) -> Episode:
        actors = host.begin(policy, key, stop)
        for _ in range(limit):
            try:
                picture = env.render() if pictures else None
            except GivenUp:
                raise Stopped(f"the film of {env.spec.name} was told to stop") from None
            yield Moment(picture, float(actors.step(host.act).reward[0]))
            if actors.is_first[0]:
                return

    return episode


def record_episode(agent: Agent, env: Any, policy: Nest, key: random.Key) -> tuple[np.ndarray, float]:
    """Plays one episode with exploration off and keeps all its pictures.

    Args:
      agent: whose `act` chooses.
      env: a compiled environment, or a host environment of `num_envs` 1.
      policy: the `policy` of the agent's state.
      key: `uint32[2]`.

    Returns:
      The pictures `uint8[steps, H, W, 3]`, each before a step, and the episode's return.

    Raises:
      ValueError: as `player`.
    """
    moments = list(player(agent, env)(policy, key))
    return np.stack([moment.picture for moment in moments]), sum(moment.reward for moment in moments)


def single(env: Any) -> Any:
    """The environment to record: `env` if it is a compiled one, else one of the same, with pictures.

    Atari is played as it is judged: whole games on raw scores.

    Args:
      env: the environment; one on the host must come from `envs.make`.

    Raises:
      ValueError: if it cannot be made.
    """
    _silence_sdl()
    return env if isinstance(env, Env) else registry.judged_like(env, 1, render_mode="rgb_array")


def _silence_sdl() -> None:
    """What pygame draws with complains on the terminal where this variable names no folder, and needs none."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())


def file_name(env_steps: int, episode_return: float, episode: int | None = None) -> str:
    """The name of a film, such as `step_00100000_return_487.0.mp4`; `episode` counts where there are several."""
    which = "" if episode is None else f"_episode_{episode}"
    return f"step_{env_steps:08d}{which}_return_{episode_return:.1f}.mp4"


def write(pictures: Iterable[np.ndarray], path: Path, rate: float = FRAME_RATE) -> None:
    """Writes pictures as they come to an .mp4 file: H.264 with yuv420p, which every browser plays.

    Args:
      pictures: each `uint8[H, W, 3]`, all of one size; odd sizes get a black row or column.
      path: appears when it is complete.
      rate: pictures per second.

    Raises:
      ValueError: for something else than such pictures, or none; ModuleNotFoundError without imageio-ffmpeg.
      OSError: if the file cannot be written; nothing is left of it then.
    """
    import imageio_ffmpeg

    unfinished = path.absolute().with_name(f".unfinished_{path.name}")  # what has a colon first would be a protocol
    writer, shape, count = None, None, 0
    try:
        for picture in pictures:
            picture = np.asarray(picture)
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
                raise ValueError(f"a picture is {picture.dtype} {picture.shape}, expected uint8 [H, W, 3]")
            if shape not in (None, picture.shape):
                raise ValueError(f"a picture is {picture.shape} and the first was {shape}, expected one size")
            if writer is None:
                shape = picture.shape
                size = (shape[1] + shape[1] % 2, shape[0] + shape[0] % 2)  # width, height
                writer = imageio_ffmpeg.write_frames(
                    str(unfinished),
                    size,
                    fps=rate,
                    codec="libx264",
                    pix_fmt_out="yuv420p",
                    macro_block_size=2,
                    output_params=["-movflags", "+faststart"],
                )
                writer.send(None)
            writer.send(even(picture))
            count += 1
        if writer is None:
            raise ValueError(f"there are no pictures to write to {path}")
        writer.close()
        # The writer does not say how ffmpeg ended, which may have filled the disk.
        if not unfinished.exists() or _count_pictures(unfinished) != count:
            raise OSError(f"{path} cannot be written: ffmpeg did not come to its end")
        unfinished.replace(path)
    finally:
        if writer is not None:
            writer.close()
        unfinished.unlink(missing_ok=True)


def _count_pictures(film: Path) -> int:
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.count_frames_and_secs(str(film))[0]
    except RuntimeError:
        return 0


def even(picture: np.ndarray) -> np.ndarray:
    """Pads `uint8[H, W, 3]` with black to an even height and width, which yuv420p needs."""
    height, width, _ = picture.shape
    return np.ascontiguousarray(np.pad(picture, [(0, height % 2), (0, width % 2), (0, 0)]))


def write_gif(film: Path, path: Path, rate: float = FRAME_RATE) -> None:
    """Turns the beginning of a film into a small .gif that repeats.

    Args:
      film: the .mp4 file.
      path: the .gif file.
      rate: pictures per second of the film; viewers slow down what is above 25.

    Raises:
      ValueError: if the film cannot be read; ModuleNotFoundError without imageio-ffmpeg.
    """
    import imageio_ffmpeg

    colours = "split[a][b];[a]palettegen[palette];[b][palette]paletteuse"
    filters = f"fps={min(rate, GIF_RATE)},scale='min({GIF_WIDTH},iw)':-1:flags=lanczos,{colours}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-t", str(GIF_SECONDS)]
    unfinished = path.absolute().with_name(f".unfinished_{path.name}")
    command += ["-i", str(film.absolute()), "-vf", filters, "-loop", "0", str(unfinished)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise ValueError(f"{film} cannot be turned into {path}: {done.stderr.strip()}")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_recording() -> None:
    """Checks that films can be written.

    Raises:
      ValueError: if imageio-ffmpeg is not installed; the message says how to get it.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ValueError('films need imageio-ffmpeg, which is not installed: pip install "rl-fn[video]"')


class Recorder:
    """Plays episodes of one environment now and then, to films, in a window, or both.

    Args:
      agent: whose `act` chooses.
      env: as for `player`.
      folder: where films go; None for none. It is made with the first.
      window: whether to open a window.
      episodes: how many at a time.

    Raises:
      ValueError: at once, for whatever is missing: pictures, a package, a display; or fewer than 1 episodes.
    """

    def __init__(self, agent: Agent, env: Any, *, folder: Path | None = None, window: bool = False, episodes: int = 1):
        if episodes < 1:
            raise ValueError(f"video_episodes is {episodes}, expected at least 1")
        if folder is not None:
            check_recording()
        self._rate = env.spec.render_fps or FRAME_RATE
        self._play = player(agent, env, pictures=folder is not None or window)
        self._folder, self._episodes = folder, episodes
        self._window = Window(env.spec.name, self._rate) if window else None

    def __call__(self, policy: Nest, key: random.Key, env_steps: int, stop: Stop = never) -> list[float]:
        """Plays the episodes; episode i has the key `fold_in(key, i)`.

        Args:
          policy: the `policy` of the agent's state.
          key: `uint32[2]`.
          env_steps: how long the policy was trained, for the names of the files.
          stop: asked before each step.

        Returns:
          The returns; fewer than asked for if the window was closed and there are no films.

        Raises:
          loops.Stopped: where `stop` says true; an unfinished film is not kept.
        """
        returns = []
        for index in range(self._episodes):
            if self._window and not self._window.is_open and self._folder is None:
                break  # nobody is looking
            rewards: list[float] = []
            pictures = self._shown(self._play(policy, random.fold_in(key, index), stop), rewards)
            if self._folder is None:
                for _ in pictures:
                    pass
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                film = self._folder / "playing.mp4"
                write(pictures, film, self._rate)
                name = file_name(env_steps, sum(rewards), index if self._episodes > 1 else None)
                film = film.replace(self._folder / name)
            returns.append(sum(rewards))
        if self._folder is not None:
            write_gif(film, self._folder / "last.gif", self._rate)
        return returns

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._window:
            self._window.close()

    def _shown(self, episode: Episode, rewards: list[float]) -> Iterator[Any]:
        for picture, reward in episode:
            if self._window:
                self._window.show(picture)
            rewards.append(reward)
            yield picture
