"""`rl-fn list` and `rl-fn show`: the sets, and every hyper-parameter of one."""

import subprocess

import pytest

from rl_fn import commands, sets


def shown(capsys, *words):
    commands.main(list(words))
    return capsys.readouterr().out


def test_all_sets_are_listed_one_line_each(capsys):
    lines = shown(capsys, "list").splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(sets.SETS)
    (line,) = [line for line in lines if line.startswith("ppo_pendulum ")]
    assert line.split()[1:3] == ["ppo", "Pendulum-v1"]


@pytest.mark.parametrize("words", [["show", "ppo_pendulum"], ["train", "--hparams", "ppo_pendulum", "--help"]])
def test_a_set_is_shown_with_each_value_its_range_and_its_meaning(words, capsys):
    lines = shown(capsys, *words).splitlines()
    (line,) = [line for line in lines if line.startswith("* gamma ")]
    assert line.split()[2] == "0.98"
    assert "a number at least 0 and at most 1" in line
    assert "Discount per step." in line
    assert sum("clip_epsilon" in line for line in lines) >= 1


def test_names_of_other_libraries_are_answered_with_ours():
    for agent, given, answer in [
        ("ppo", "lr", "here it is learning_rate"),
        ("sac", "learning_rate", "here it is actor_learning_rate and critic_learning_rate"),
        ("ppo", "n_steps", "here it is rollout_length"),
        ("ppo", "ent_coef", "here it is entropy_cost"),
        ("ppo", "clip_range", "here it is clip_epsilon"),
        ("ppo", "vf_coef", "here it is value_cost"),
        ("dqn", "buffer_size", "here it is replay_capacity"),
        ("dqn", "tau", "here it is target_step_size"),
        ("td3", "tau", "here it is target_step_size"),
        ("dqn", "total_timesteps", "here it is train_steps"),
        ("ppo", "buffer_size", "nor anything of the kind, which other agents call replay_capacity"),
        ("ppo", "gama", "the nearest is 'gamma'$"),
        ("sac", "normalize_observations", "no hyper-parameter 'normalize_observations'; there are: train_steps, "),
    ]:
        with pytest.raises(ValueError, match=answer):
            sets.make(sets.find(agent), {given: 1})
        with pytest.raises(TypeError, match=answer):  # in a script, too
            sets.hparams_struct(agent)(**{given: 1})


def test_names_are_near_in_capitals_or_not():
    with pytest.raises(ValueError, match="unknown hyper-parameter set 'PPO'; the nearest is 'ppo'; one of your own"):
        sets.find("PPO")


def test_the_first_of_several_sets_wins_and_later_ones_fill_in():
    joined = sets.find("ppo_pendulum-ppo_cartpole_fast-ppo")
    assert joined.env == "Pendulum-v1"
    values = sets.make(joined)
    assert (values.rollout_length, values.num_envs) == (1_024, 4)  # of the first
    assert values.anneal_clip_epsilon  # of the second
    assert values.normalize_rewards  # of the third
    assert sets.find("ppo-ppo_recurrent_memory_chain").env_kwargs == {"memory_length": 10}
    with pytest.raises(ValueError, match="joins sets of different agents, ppo and dqn"):
        sets.find("ppo-dqn_cartpole")
    with pytest.raises(ValueError, match="the nearest is 'ppo_cartpole'"):
        sets.find("ppo-ppo_cartpol")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["rl-fn", "tr"], ["train"]),
        (["rl-fn", "train", "--check"], ["--checkpoint_seconds"]),
        (["rl-fn", "train", "--hparams", "sac_p"], ["sac_pendulum"]),
        (["rl-fn", "train", "--env_backend", ""], ["sync", "thread", "process"]),
    ],
)
def test_a_shell_completes_commands_flags_and_sets(line, found, capsys):
    script = shown(capsys, "completion", "bash")
    words = " ".join(f"'{word}'" for word in line)
    asked = f'COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _rl_fn; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == found
