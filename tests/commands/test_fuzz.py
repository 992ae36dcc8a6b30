"""Command lines of every kind of nonsense: none ends in a traceback. FUZZ_LINES=2000 tries so many."""

import contextlib
import io
import os
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_fn import commands
from rl_fn.commands.exits import LONGEST
from rl_fn.commands.flags import flags_of
from rl_fn.commands.table import COMMANDS
from rl_fn.runs import Run
from rl_fn.sets import SETS

LINES = int(os.environ.get("FUZZ_LINES", "150"))
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "1e30",
    "1e309",
    "nan",
    "inf",
    "-inf",
    "9" * 50,
    "9" * 400,
    "1_0",
    "0x1",
    "1e-400",
    ".",
    "²",
]
TEXTS = [
    "",
    " ",
    "~",
    "~nobody/x",
    "\0",
    "\n",
    "a" * 50_000,
    "{[]:1}",
    "{{}}",
    "-" * 100_000 + "1",
    "(" * 5_000,
    "None",
    "é\udcff",
]
NAMES = [
    "ppo_cartpole",
    "dqn",
    "sac_pendulum",
    "ppo_cartpole-dqn",
    "x.toml",
    "/dev/null",
    "this:Nope-v0",
    "gym:this:N",
    "CartPole-v1",
]
HPARAMS = [
    "learning_rate",
    "num_envs",
    "rollout_length",
    "batch_size",
    "replay_capacity",
    "hidden_sizes",
    "self",
    "lr",
    "n_step",
]

value = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.sampled_from(NAMES), st.text(max_size=20))
override = st.lists(st.tuples(st.sampled_from(HPARAMS), value).map("=".join), max_size=3).map(",".join)
flag_names = sorted({flag.name for command in COMMANDS.values() for flag in flags_of(command)})
word = st.one_of(
    st.sampled_from(flag_names).map("--{}".format),
    st.tuples(st.sampled_from(flag_names), st.one_of(value, override)).map("--{0[0]}={0[1]}".format),
    st.tuples(st.sampled_from(flag_names), value).map("--{0[0]} {0[1]}".format),
    value,
    st.sampled_from(["-h", "--help", "--", "-x", "--no_render", "--training"]),
)
train = st.tuples(
    st.sampled_from(sorted(SETS)).map("--hparams={}".format),
    override.map("--hparam_override={}".format),
    st.tuples(st.sampled_from(["train_steps", "copies", "seed", "env", "env_kwargs", "eval_episodes"]), value).map(
        "--{0[0]}={0[1]}".format
    ),
).map(lambda words: ["train", *words])
line = st.one_of(
    train, st.tuples(st.sampled_from([*COMMANDS, "trian", ""]), st.lists(word, max_size=6)).map(lambda p: [p[0], *p[1]])
)


class Begun(BaseException):
    """Everything before the first step went well."""


@pytest.fixture(scope="module")
def nothing_begins(tmp_path_factory):
    def begin(run):
        raise Begun

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "start", begin)
        patch.chdir(tmp_path_factory.mktemp("fuzz"))
        yield


@settings(max_examples=LINES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(line)
def test_no_command_line_ends_in_a_traceback(nothing_begins, words):
    out, error = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            commands.main(words)
        except SystemExit as ended:
            code = ended.code
        except Begun:
            return
    assert code in (0, 1, 2), shlex.join(words)
    said = [one for one in error.getvalue().splitlines() if one.startswith("rl-fn: error: ")]
    assert len(said) == (code != 0)
    assert all(len(one) <= LONGEST + 100 for one in error.getvalue().splitlines())
