"""BrainProp's input files: a value is taken properly or refused, never ignored."""

import pytest

from common.errors import UsageError

LINES = {"dataset": '"digits"', "architecture": '"dense"'}


def read(tmp_path, **lines):
    from brainprop.files.inputs import read

    path = tmp_path / "mine.py"
    text = "".join(f"{name} = {value}\n" for name, value in (LINES | lines).items())
    path.write_text("import numpy as np\nfrom pathlib import Path\n\ndef helper(): pass\n" + text)
    return read(path)


@pytest.mark.parametrize(
    ("name", "value", "option", "wanted"),
    [
        ("learning_rate", "np.float32(0.05)", "learning_rate", 0.05),
        ("learning_rate", "np.array(0.05)", "learning_rate", 0.05),
        ("epochs", "np.int64(7)", "epochs", 7),
        ("batch_dim", "np.array(16)", "batch_size", 16),
        ("save_weights", "np.bool_(True)", "save_weights", True),
        ("architecture", 'np.str_("dense")', "architecture", "dense"),
        ("weights_file", 'Path("w.h5")', "weights_file", "w.h5"),
    ],
)
def test_numpys_scalars_in_an_input_file_are_taken(tmp_path, name, value, option, wanted):
    """The rate of a file was ignored, and training ran at 0.1."""
    option_value = read(tmp_path, **{name: value})[option]
    assert option_value == wanted and type(option_value) is type(wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", "[7]"), ("learning_rate", "(0.05,)"), ("batch_dim", "np.array([16])"),
     ("epsilon", "{}"), ("seed", "lambda: 1"), ("std", "1j"), ("weights_file", "7"),
     ("learning_rate", "helper"), ("dataset", "['digits']")],
)  # fmt: skip
def test_a_value_that_is_no_scalar_is_refused_by_name(tmp_path, name, value):
    """`epochs = [7]` meant 500."""
    with pytest.raises(UsageError, match=rf"mine\.py: variable {name} \(=.*\) must be"):
        read(tmp_path, **{name: value})


def test_an_unknown_variable_of_any_kind_is_refused(tmp_path):
    """`epochss = [7]` is as much a mistake as `epochss = 7`."""
    for value in ("7", "[7]", "np.int64(7)", "{}"):
        with pytest.raises(UsageError, match="variable .*epochss.* did you mean epochs"):
            read(tmp_path, epochss=value)


@pytest.mark.parametrize("value", ["np.float64('nan')", "True", "np.float32(0.5)"])
def test_numbers_of_an_input_file_have_their_ranges(tmp_path, value):
    """A count of half an image."""
    from brainprop.options import from_file

    read(tmp_path, batch_dim=value)
    with pytest.raises(UsageError, match="variable batch_(dim|size) .*must be an integer"):
        from_file(tmp_path / "mine.py", ())
