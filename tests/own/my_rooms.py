"""Registers an environment with Gymnasium, for `--env gymnasium:my_rooms:Hall-v0`."""

import gymnasium

gymnasium.register("Hall-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=7)
