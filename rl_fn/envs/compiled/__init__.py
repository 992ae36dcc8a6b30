"""Environments that XLA compiles together with the agent. None of their modules is imported here.

A module describes one task, or a few alike, by functions of a batch of its states:

    class State(NamedTuple)                      what the dynamics need, leaves `[B, ...]`
    make(...) -> Env                             checks its arguments, and puts the others together
    start(key, batch_size, ...) -> state         where episodes begin
    dynamics(state, action, key, ...) -> (state, reward, terminated)
    observe(state, ...) -> observation
    render(state, ...) -> picture                of one state, in NumPy

What `make` was given goes to the others as keyword arguments, so that each can be called and tested by itself.
"""

from __future__ import annotations

from typing import Any

_HERE = "rl_fn.envs.compiled"

# family -> name -> what makes it, and with which arguments
ENVIRONMENTS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "classic control": {
        "CartPole-v1": (f"{_HERE}.cartpole:make", {}),
        "MountainCar-v0": (f"{_HERE}.mountain_car:make", {}),
        "MountainCarContinuous-v0": (f"{_HERE}.mountain_car:make", {"continuous": True}),
        "Acrobot-v1": (f"{_HERE}.acrobot:make", {}),
        "Pendulum-v1": (f"{_HERE}.pendulum:make", {}),
    },
    "without velocities": {
        "CartPoleNoVel-v1": (f"{_HERE}.no_velocity:make", {"base": "CartPole-v1"}),
        "MountainCarNoVel-v0": (f"{_HERE}.no_velocity:make", {"base": "MountainCar-v0"}),
        "MountainCarContinuousNoVel-v0": (f"{_HERE}.no_velocity:make", {"base": "MountainCarContinuous-v0"}),
        "PendulumNoVel-v1": (f"{_HERE}.no_velocity:make", {"base": "Pendulum-v1"}),
    },
    "bsuite": {
        "Catch-bsuite": (f"{_HERE}.catch:make", {}),
        "DeepSea-bsuite": (f"{_HERE}.deep_sea:make", {}),
        "MemoryChain-bsuite": (f"{_HERE}.memory_chain:make", {}),
        "UmbrellaChain-bsuite": (f"{_HERE}.umbrella_chain:make", {}),
        "DiscountingChain-bsuite": (f"{_HERE}.discounting_chain:make", {}),
        "SimpleBandit-bsuite": (f"{_HERE}.bandit:make", {}),
    },
    "grids": {"FourRooms-misc": (f"{_HERE}.four_rooms:make", {})},
    "board games": {
        "TicTacToe-v0": (f"{_HERE}.in_a_row:make", {"game": "tic_tac_toe"}),
        "ConnectFour-v0": (f"{_HERE}.in_a_row:make", {"game": "connect_four"}),
    },
    "from pixels": {
        **{
            name: (f"{_HERE}.from_pixels:make", {"base": base})
            for name, base in (
                ("CartPolePixels-v1", "CartPole-v1"),
                ("PendulumPixels-v1", "Pendulum-v1"),
                ("CatchPixels-bsuite", "Catch-bsuite"),
                ("DeepSeaPixels-bsuite", "DeepSea-bsuite"),
                ("FourRoomsPixels-misc", "FourRooms-misc"),
            )
        },
        **{
            f"MinAtarPixels/{game}-v{version}": (f"{_HERE}.from_pixels:make", {"base": f"MinAtar/{game}-v{version}"})
            for game in ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
            for version in (0, 1)
        },
    },
    "for tests of agents": {
        "ConstantReward-truncated": (f"{_HERE}.constant_reward:make", {"end": "truncated"}),
        "ConstantReward-terminated": (f"{_HERE}.constant_reward:make", {"end": "terminated"}),
        "QuadraticReward": (f"{_HERE}.quadratic_reward:make", {}),
    },
    "MinAtar": {
        # As Gymnasium has them: v0 with all six actions, v1 with those that have an effect.
        f"MinAtar/{game}-v{version}": (f"{_HERE}.minatar:make", {"game": game, "minimal_actions": version == 1})
        for game in ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
        for version in (0, 1)
    },
}
