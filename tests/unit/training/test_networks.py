"""Networks by name, and the model around them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.data.prepared import Prepared, prepare
from training.errors import RecipeError
from training.make import Task
from training.networks import embedding, perceptron, served, target_scale

Read = Callable[..., Task]


def _rows(task: Task, count: int = 5) -> Tensor:
    return torch.from_numpy(task.data.test.inputs[:count])


def test_hidden_layers_are_those_of_the_recipe(task: Read) -> None:
    wide = task("perceptron", ("[16, 8]", "[500, 250, 100]"))
    sizes = [layer.out_features for layer in wide.network().network.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [500, 250, 100, 1]


def test_the_same_seed_draws_the_same_weights(task: Read) -> None:
    read = task("softmax")
    first, again = read.network().state_dict(), read.network().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_classifier_names_the_most_probable_class(task: Read) -> None:
    read = task("convolutional")
    label, probabilities = served(read.network(), read.recipe, read.data)(_rows(read))
    assert torch.allclose(probabilities.sum(1), torch.ones(5))
    assert torch.equal(label, probabilities.argmax(1))


def test_a_regressor_answers_in_the_unit_of_the_target(task: Read) -> None:
    read = task("perceptron")
    network = read.network()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    mean, deviation = target_scale(read.recipe, read.data)
    assert mean == pytest.approx(float(read.data.train.targets.mean()))
    assert deviation > 1
    # A network that says nothing says the mean.
    assert served(network, read.recipe, read.data)(_rows(read)).tolist() == pytest.approx([mean] * 5)


def test_standardised_inputs_have_mean_0_and_deviation_1(task: Read) -> None:
    read = task("perceptron")
    network = read.network()
    network.network = nn.Identity()
    given = network(torch.from_numpy(read.data.train.inputs))
    assert given.mean(0).abs().max() < 1e-5
    assert given.std(0) == pytest.approx(1, abs=1e-4)


@pytest.fixture
def texts(tmp_path: Path) -> Prepared:
    lines = [f'"{word} number {number}",{word}' for word in ("apple", "pear") for number in range(20)]
    (tmp_path / "texts.csv").write_text("said,kind\n" + "\n".join(lines) + "\n")
    (tmp_path / "texts.toml").write_text(
        'name = "texts"\ntask = "classification"\nsource = { kind = "csv", path = "texts.csv" }\n'
        'columns = { text = "said", target = "kind" }\ntokens = { length = 6, vocabulary = 4096 }\n'
    )
    return prepare(tmp_path / "texts.toml", tmp_path / "kept")


@pytest.mark.parametrize("attention", [False, True], ids=["mean", "attention"])
def test_words_that_are_not_there_count_for_nothing(attention: bool, texts: Prepared) -> None:
    torch.manual_seed(1)
    network = embedding({"width": 8, "attention": attention}, texts).eval()
    short, padded = torch.tensor([[3, 9]]), torch.tensor([[3, 9, 0, 0, 0, 0]])
    assert torch.allclose(network(short), network(padded), atol=1e-6)
    assert network(torch.zeros(2, 6, dtype=torch.int64)).isfinite().all()
    turned = torch.allclose(network(torch.tensor([[9, 3]])), network(short), atol=1e-6)
    assert turned is not attention


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("convolutional", "image = [1, 8, 8], channels", "image = [1, 9, 9], channels", "1 x 9 x 9"),
        ("perceptron", "hidden = [16, 8]", "hiden = [16, 8]", "hiden"),
        ("softmax", 'name = "linear"', 'name = "embedding"', "reads words"),
        ("softmax", 'name = "linear"', 'file = "own.py"', "cannot be read"),
    ],
    ids=["image", "option", "words", "file"],
)
def test_what_does_not_fit_is_refused(name: str, old: str, new: str, said: str, task: Read) -> None:
    with pytest.raises(RecipeError, match=said):
        task(name, (old, new)).network()


def test_a_file_of_ones_own_builds_the_network(task: Read, recipes: Path) -> None:
    own = recipes / "own.py"
    own.write_text("from torch import nn\ndef build(options, data):\n    return nn.Linear(data.width, 10)\n")
    read = task("softmax", ('name = "linear"', 'file = "own.py"'))
    assert isinstance(read.network().network, nn.Linear)
    own.write_text("made = 1\n")
    with pytest.raises(RecipeError, match="no function `build`"):
        read.network()


def test_dropout_is_between_the_layers_when_asked_for(task: Read) -> None:
    read = task("perceptron")
    made = perceptron({"hidden": (4,), "dropout": 0.5}, read.data)
    assert sum(isinstance(layer, nn.Dropout) for layer in made.modules()) == 1
