"""What world models see and imagine, as pictures: reconstructions beside frames, and dreams beside the world."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import learning, random
from rl_fn._src.xla.calls import graph
from rl_fn.agents.world_model_parts import Parts, WorldModelsHParams, to_image
from rl_fn.envs.base import Env, judged
from rl_fn.envs.drawing.grids import MARGIN, label_above
from rl_fn.media import films
from rl_fn.runs.config import RunConfig
from rl_fn.runs.loading import Loaded, copy_folders, load

WARM_UP = 10  # steps that M sees of an episode before it dreams on
_SHOWN = 256  # pixels, about, of a picture
_SAMPLES = 8  # frames in the picture of reconstructions


class Imagined(NamedTuple):
    """An episode's beginning, `uint8[L, H, W, 3]`, with the controller acting in the world and in the dream."""

    world: np.ndarray
    reconstruction: np.ndarray  # of the frames of the world
    dream: np.ndarray  # what M makes of the first steps


def imagine(
    run: Path | str, *, checkpoint: str | int = "newest", length: int = 200, temperature: float = 1.0, seed: int = 0
) -> Imagined:
    """Plays the beginning of an episode and dreams on from its first steps.

    Args:
      run: the folder of a run of world models, or of one of its copies.
      checkpoint: as in `load`.
      length: L at most; where the episode ends, so do the pictures.
      temperature: of the dream; see `Mixture.sample`.
      seed: the same seed gives the same pictures.

    Raises:
      ValueError: as `load`, if the run is of another agent, or for numbers out of range.
    """
    if length < 1:
        raise ValueError(f"length is {length}, expected at least 1")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a positive number")
    copy = copy_folders(run)[0]
    config = RunConfig.read(copy)
    hparams = config.make_hparams() if config.is_named else None
    if not isinstance(hparams, WorldModelsHParams):
        raise ValueError(f"{copy} is a run of {config.agent or 'an agent without a name'}, expected world_models")
    loaded = load(copy, checkpoint=checkpoint)
    try:
        return _imagined(loaded, hparams.make_parts(loaded.env.spec), length, temperature, random.key(seed))
    finally:
        if hasattr(loaded.env, "close"):
            loaded.env.close()


def write(imagined: Imagined, folder: Path, rate: float = films.FRAME_RATE) -> list[Path]:
    """Writes `reconstructions.png` and `dream.mp4` to a folder.

    Raises:
      ValueError: if imageio-ffmpeg is not installed, or there is nothing to see.
    """
    films.check_recording()
    folder.mkdir(parents=True, exist_ok=True)
    still, film = folder / "reconstructions.png", folder / "dream.mp4"
    still.write_bytes(tf.io.encode_png(reconstructions(imagined)).numpy())
    films.write(map(_beside, *imagined), film, rate)
    return [still, film]


def reconstructions(imagined: Imagined) -> np.ndarray:
    """Frames spread over the episode, each above what V makes of it."""
    chosen = np.linspace(0, len(imagined.world) - 1, _SAMPLES).round().astype(int)
    rows = [np.concatenate(list(part[chosen]), axis=1) for part in (imagined.world, imagined.reconstruction)]
    return _enlarged(np.concatenate(rows), _SHOWN // 2 // imagined.world.shape[1])


def _imagined(loaded: Loaded, parts: Parts, length: int, temperature: float, key: random.Key) -> Imagined:
    begin_key, act_key, dream_key = tf.unstack(random.split(key, 3), num=3)
    params, vision = loaded.policy.params, parts.vision

    def step(actor: Any, observation: Any, key: random.Key) -> tuple:
        picture = parts.to_picture(observation)
        latent = vision.encode(params.vision, to_image(picture)).mean
        acted = loaded.agent.act(params, actor, observation, key, "eval")
        return picture, vision.decode(params.vision, latent), latent, acted.action, acted.actor_state

    compiled = graph(step, jit_compile=True)
    world: list[tf.Tensor] = []
    seen: list[tf.Tensor] = []
    dreamer: Any = None
    actor, play = loaded.agent.init_actor(1), _player(loaded.env, begin_key)
    observation, ended = play(None)
    while not ended and len(world) < length:
        arguments = tf.nest.map_structure(tf.convert_to_tensor, (actor, observation))
        if len(world) <= WARM_UP:
            before = arguments[0]
        picture, again, latent, action, actor = compiled(*arguments, random.fold_in(act_key, len(world)))
        if len(world) <= WARM_UP:
            dreamer = latent, before.memory
        world.append(picture[0])
        seen.append(again[0])
        observation, ended = play(action)

    first = min(WARM_UP, len(world) - 1)
    latent, state = tf.nest.map_structure(lambda x: x[tf.newaxis], dreamer)
    control = lambda latent, hidden: parts.control.choose(params.controller[tf.newaxis], latent, hidden)
    inputs = latent, state, control, dream_key, len(world) - first, temperature
    dreamed = graph(lambda: learning.dream(parts.memory, params.memory, *inputs).latent)()
    imagined = vision.decode(params.vision, dreamed[:, 0, 0])
    reconstruction = _bytes(tf.stack(seen))
    dream = np.concatenate([reconstruction[:first], _bytes(imagined)])
    return Imagined(*map(_colored, (np.stack(world), reconstruction, dream)))


def _player(env: Any, key: random.Key) -> Any:
    """From an action, or None at first, to the next observation of one environment, and whether the episode ended."""
    reset_key, step_key = tf.unstack(random.split(key))
    if not isinstance(env, Env):

        def play_host(action: Any) -> tuple[Any, bool]:
            if action is None:
                return env.reset(int(random.bits(reset_key).numpy()) >> 1), False
            outcome = env.step(action.numpy())
            return outcome.observation, bool(outcome.terminated[0] | outcome.truncated[0])

        return play_host
    env = judged(env)
    step = graph(env.step, jit_compile=True)
    state, first = env.reset(reset_key, 1)
    count = 0

    def play(action: Any) -> tuple[Any, bool]:
        nonlocal state, count
        if action is None:
            return first, False
        count += 1
        state, outcome = step(state, action, random.fold_in(step_key, count))
        return outcome.observation, bool(outcome.terminated[0] | outcome.truncated[0])

    return play


def _bytes(images: tf.Tensor) -> np.ndarray:
    return tf.cast(tf.round(255 * images), tf.uint8).numpy()


def _colored(pictures: np.ndarray) -> np.ndarray:
    if pictures.shape[-1] not in (1, 3):
        raise ValueError(f"pictures have {pictures.shape[-1]} channels, expected 1 or 3")
    return np.broadcast_to(pictures, (*pictures.shape[:-1], 3))


def _enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    return picture.repeat(max(times, 1), axis=0).repeat(max(times, 1), axis=1)


def _beside(*pictures: np.ndarray) -> np.ndarray:
    """A frame of the film: the parts of an Imagined beside each other."""
    width = max(_SHOWN // pictures[0].shape[0], 1) * pictures[0].shape[1] + 2 * MARGIN
    parts = [
        label_above(name.upper(), _enlarged(picture, _SHOWN // picture.shape[0]), width)
        for name, picture in zip(Imagined._fields, pictures, strict=True)
    ]
    return np.concatenate(parts, axis=1)
