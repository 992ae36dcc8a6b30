"""Variants of the sets of agents that learn values of discrete actions, such as `dqn_cartpole-per`."""

from rl_fn.sets.registry import register_variant

register_variant("double", {"double_q": True})
register_variant("single", {"double_q": False})
register_variant("dueling", {"dueling": True})
register_variant("nstep", {"n_step": 10})
register_variant("per", {"prioritized": True})
register_variant("noisy", {"noise": "factorised", "epsilon_initial": 0.0, "epsilon_final": 0.0})
