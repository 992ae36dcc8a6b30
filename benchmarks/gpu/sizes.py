"""Which cases are exported, and how large."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from cases import Case, find

ENVS = (64, 256, 1_024, 4_096, 16_384, 65_536)
COPIES = (1, 8, 64, 512, 2_048)
# family -> the case that it is the other sizes of
BY_ENVS = {"ppo_cartpole": "ppo_cartpole_64", "ppo_breakout": "ppo_breakout_64"}
BY_COPIES = {"ppo_cartpole_4": "ppo_cartpole_4", "dqn_cartpole": "dqn_cartpole", "sac_pendulum": "sac_pendulum"}
FAMILIES = (*BY_ENVS, *BY_COPIES)
# The sizes whose states after some updates travel along, to be compared with
CHECKED = (
    "ppo_cartpole_64",
    "ppo_breakout_64",
    "ppo_cartpole_4_copies_8",
    "dqn_cartpole_copies_1",
    "sac_pendulum_copies_1",
)


def sized(families: Iterable[str], envs: Iterable[int], copies: Iterable[int]) -> Iterator[tuple[str, Case]]:
    """Yields each family's name with a case of each size, the small ones of all families first."""
    for num_envs in envs:
        for family in families:
            if family in BY_ENVS:
                case = find(BY_ENVS[family])
                settings = {**case.settings, "num_envs": num_envs}
                yield family, dataclasses.replace(case, name=f"{family}_{num_envs}", settings=settings)
    for number in copies:
        for family in families:
            if family in BY_COPIES:
                case = find(BY_COPIES[family])
                yield family, dataclasses.replace(case, name=f"{family}_copies_{number}", copies=number)
