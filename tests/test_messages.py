"""What is printed beside what was asked for: nothing."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Calls with axes of six sizes, as in a test of one's own; six programs; one policy for six sizes of batch, and six
# looks at an environment.
CALLS = """
import rl_fn as rl

rl.losses  # loads TensorFlow
from tests import calls

sizes = dict(calls.SIZES)
for name in (
    "losses.huber_loss", "losses.q_learning", "losses.td_lambda", "losses.mpo_loss", "returns.n_step_returns",
    "returns.lambda_returns", "policies.epsilon_greedy", "policies.gaussian", "normalization.art",
):
    for more in range(6):
        calls.SIZES.update({axis: size + more for axis, size in sizes.items()})
        calls.CALLS[name].function(*calls.CALLS[name].values())

env, key = rl.envs.make("Catch-bsuite"), rl.random.key(0)
agent = rl.agents.vpg.make(env.spec, rl.agents.vpg.VPGHParams(num_envs=2, train_steps=100, hidden_sizes=(2,)))
state = agent.init(key)
policy = rl.runs.Policy(agent, state.policy, env.spec)
for size in range(1, 7):
    policy.act([env.spec.observation_space.sample() for _ in range(size)])
    rl.loops.compile(lambda total: (total + size, {"total": total}), 0.0).run(2)
    rl.loops.scan(lambda total, x: (total + x, total), 0.0, rl.random.uniform(key, [size]))
    rl.envs.check(env, steps=1, batch_size=size)
"""


def test_functions_called_with_six_shapes_print_nothing():
    done = subprocess.run([sys.executable, "-c", CALLS], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
