"""Where several devices of this machine share a run."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import loops
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.runs.local import Local
from rl_fn.struct import Nest


class Devices(Local):
    """As `Local`, of one copy, with the environments and the batches shared by devices: GPUs, or else CPUs.

    Args:
      agent: the agent, of all devices together.
      env: the environment.
      eval_env: that of the evaluation, which plays on the first device.
      eval_episodes: whole episodes per evaluation.
      devices: how many.

    Raises:
      ValueError: if there are not so many devices, or they cannot share the environments or a batch equally.
    """

    def __init__(self, agent: Agent, env: Env, eval_env: Env, eval_episodes: int, devices: int):
        super().__init__(agent, env, eval_env, 1, eval_episodes)
        self._names = named(devices)
        self._step = loops.SharedStep(agent, env, loops.spec_of(self.init), devices)
        self._peers = [loops.OnDevice(self._step, index, name) for index, name in enumerate(self._names)]

    def compile(self, state: Nest) -> loops.Running:
        """See Runner."""
        return loops.Lockstep(self._step, self._peers, state)

    def close(self) -> None:
        """See Runner."""
        for peer in self._peers:
            peer.close()


def named(devices: int) -> list[str]:
    """The names of so many GPUs, or of so many CPUs where there is no GPU.

    Raises:
      ValueError: if there are not so many, or there are TPUs, whose programs would have to hold the all-reduces.
    """
    if tf.config.list_physical_devices("TPU"):
        raise ValueError(f"devices is {devices}, expected 1 on a machine with TPUs: their chips do not share a run")
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    there = tf.config.list_logical_devices(kind)
    if devices > len(there):
        how = "make more with tf.config.set_logical_device_configuration before anything runs"
        told = f"devices is {devices}, expected at most {len(there)}, which is how many {kind}s there are"
        raise ValueError(told if kind == "GPU" else f"{told}; {how}")
    return [device.name for device in there[:devices]]
