"""Draws a frame of each compiled environment, in the middle of play: `draw_environments.py docs/environments.png`.

Needs the extras `plot` and `render`.
"""

import sys
import textwrap

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import rl_fn as rl

COLUMNS, PLAYERS, HOLD = 6, 512, 5

# Names that look alike -> the step that is shown, and what the player has to do.
FRAMES = {
    ("CartPole-v1", "CartPoleNoVel-v1"): (32, "Push the cart left or right so that the pole stays up."),
    ("MountainCar-v0", "MountainCarNoVel-v0", "MountainCarContinuous-v0", "MountainCarContinuousNoVel-v0"): (
        90,
        "Swing the car up to the flag: its motor is too weak to drive there.",
    ),
    ("Acrobot-v1",): (60, "Swing the lower link above the line, with a motor in the elbow."),
    ("Pendulum-v1", "PendulumNoVel-v1"): (40, "Swing the rod up and keep it there, with a weak motor."),
    ("Catch-bsuite",): (5, "The paddle (blue) must be below the ball (orange) when that arrives."),
    ("DeepSea-bsuite",): (5, "A diver (orange) sinks; only going right in every step finds the treasure (yellow)."),
    ("MemoryChain-bsuite",): (5, "Recall the bit that was shown at the start."),
    ("UmbrellaChain-bsuite",): (4, "The first action takes an umbrella or none; the last step pays or fines."),
    ("DiscountingChain-bsuite",): (20, "The first action chooses how long to wait for the reward (yellow)."),
    ("SimpleBandit-bsuite",): (0, "Pull the arm that pays most."),
    ("ConstantReward-truncated", "ConstantReward-terminated"): (6, "For tests: each step pays 1, whatever one does."),
    ("QuadraticReward",): (0, "For tests: find the two numbers that pay most."),
    ("FourRooms-misc",): (60, "Walk to the goal (yellow); a third of the moves go elsewhere."),
    ("MinAtar/Asterix-v0", "MinAtar/Asterix-v1"): (
        60,
        "Light blue is you: take gold (yellow), flee enemies (red). Grey is where they came from.",
    ),
    ("MinAtar/Breakout-v0", "MinAtar/Breakout-v1"): (45, "Hit the bricks (red) with the ball (white)."),
    ("MinAtar/Freeway-v0", "MinAtar/Freeway-v1"): (
        62,
        "Lead the chicken (white) to the top. Beside each car (red) is its speed.",
    ),
    ("MinAtar/Seaquest-v0", "MinAtar/Seaquest-v1"): (
        60,
        "Light blue is you: save divers (yellow), shoot fish (orange) and submarines (purple), mind the air (green).",
    ),
    ("MinAtar/SpaceInvaders-v0", "MinAtar/SpaceInvaders-v1"): (
        60,
        "Light blue is you: shoot the aliens (green) before they land.",
    ),
}


def frame(name, steps):
    """The picture `uint8[H, W, 3]` after some steps of random actions, each held for a while.

    Of many players it shows the one whose episode has lasted longest.
    """
    env = rl.envs.make(name)
    step = tf.function(env.step, jit_compile=True, autograph=False)
    env.spec.action_space.seed(0)
    state, _ = env.reset(rl.random.key(0), PLAYERS)
    for t in range(steps):
        if t % HOLD == 0:
            actions = tf.constant(np.stack([env.spec.action_space.sample() for _ in range(PLAYERS)]))
        state, _ = step(state, actions, rl.random.fold_in(rl.random.key(1), t))
    longest = int(np.argmax(state.time))
    return env.render(tf.nest.map_structure(lambda leaf: leaf[longest].numpy(), state))


def square(picture):
    """The picture in the middle of a square, filled up with the colour of its corner."""
    height, width, _ = picture.shape
    size = max(height, width)
    result = np.full((size, size, 3), picture[0, 0])
    top, left = (size - height) // 2, (size - width) // 2
    result[top : top + height, left : left + width] = picture
    return result


def main(path):
    """Draws all frames into one picture file."""
    rows = -(-len(FRAMES) // COLUMNS)
    width, height, caption = 3.0, 4.1, 1.15  # of a frame with its caption, in inches
    figure = Figure(figsize=(width * COLUMNS, height * rows))
    figure.subplots_adjust(0.01, caption / (height * rows), 0.99, 0.995, 0.04, caption / (height - caption))
    for axes, (names, (steps, task)) in zip(figure.subplots(rows, COLUMNS).flat, FRAMES.items(), strict=True):
        axes.imshow(square(frame(names[0], steps)))
        axes.set(xticks=[], yticks=[])
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "top"}
        axes.annotate("\n".join(names), (0.5, 0), (0, -6), weight="bold", fontsize=9, **place)
        lines = "\n".join(textwrap.wrap(task, 42))
        axes.annotate(lines, (0.5, 0), (0, -10 - 11 * len(names)), fontsize=9, **place)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main(sys.argv[1])
