"""Pictures of runs; what is in them is tested without matplotlib in tests/media."""

import csv

import matplotlib.image
import numpy as np
import pytest

from rl_fn.commands import main
from tests.media.written import run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two sets in two environments, three seeds each."""
    rng, folders = np.random.default_rng(0), []
    for hparams, scale in (("ppo", 1.0), ("dqn", 0.7)):
        for env, best in (("CartPole-v1", 500), ("Catch-bsuite", 1)):
            curves = scale * best * (1 - np.exp(-np.arange(20) / 5)) + 0.05 * best * rng.normal(size=(3, 20))
            folder = tmp_path_factory.mktemp("runs") / f"{hparams}_{best}"
            folders.append(str(run(folder, curves.tolist(), hparams=hparams, env=env)))
    return folders


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("curves", 2 * 2 * 20), ("profiles", 2 * 101), ("intervals", 2 * 3)],
    ids=lambda value: str(value),
)
def test_each_kind_is_written_as_png_and_pdf_with_its_numbers(runs, tmp_path, capsys, kind, rows):
    numbers = tmp_path / "numbers.csv"
    main(["plot", *runs, "--kind", kind, "--output", str(tmp_path / kind), "--csv", str(numbers)])
    paths = [tmp_path / f"{kind}.png", tmp_path / f"{kind}.pdf", numbers]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    picture = matplotlib.image.imread(paths[0])
    assert picture.shape[1] >= 850
    assert picture[..., :3].std() > 0.05
    assert paths[1].read_bytes().startswith(b"%PDF")
    with numbers.open() as file:
        content = list(csv.DictReader(file))
    assert len(content) == rows
    assert {row["label"] for row in content} == {"ppo", "dqn"}
    assert all(float(row["low"]) <= float(row["high"]) for row in content)


def test_a_picture_of_one_suffix_is_one_file(runs, tmp_path, capsys):
    main(["plot", runs[0], "--output", str(tmp_path / "one.svg")])
    assert [path.name for path in tmp_path.iterdir()] == ["one.svg"]
    main(["compare", runs[0], runs[2], "--output", str(tmp_path / "two.png")])
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "two.png")
    assert matplotlib.image.imread(tmp_path / "two.png")[..., :3].std() > 0.05


def test_mistakes_get_one_sentence(runs, tmp_path, capsys):
    for flags, message in [
        ([str(tmp_path)], "holds no run"),
        ([runs[0], "--tag", "eval/score"], "has no curve 'eval/score'"),
        ([runs[0], "--output", str(tmp_path / "a.bmp")], "a picture cannot be written to"),
        ([runs[0], "--output", str(tmp_path / "no" / "a.png")], "cannot be used"),
        ([*runs[:3], "--kind", "profiles"], "dqn has no run in Catch-bsuite"),
        (
            [*runs, "--kind", "intervals", "--bounds", "CartPole-v1=0"],
            "bounds are 'CartPole-v1=0', expected ENV=LOW:HIGH",
        ),
    ]:
        with pytest.raises(SystemExit) as exit_info:
            main(["plot", *flags])
        assert exit_info.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("length", [5, 30, 90])
def test_names_of_any_length_are_whole(runs, tmp_path, length):
    labels = ",".join(letter * length for letter in "WM")
    main(["plot", runs[0], runs[2], "--labels", labels, "--output", str(tmp_path / "named.png")])
    edges = matplotlib.image.imread(tmp_path / "named.png")[:40, [0, 1, -2, -1], :3]  # of the legend
    assert edges.min() == 1.0  # white
