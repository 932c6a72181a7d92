"""What cannot be converted is one sentence that names the layer and says what to do."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="asap runs on torch")
from torch import nn  # noqa: E402

import asap  # noqa: E402
from common.errors import ArgumentError  # noqa: E402

IMAGES = torch.randn(3, 2, 8, 8)


def convolutions(*widths: int, **options: Any) -> Any:
    return nn.Sequential(
        *(nn.Conv2d(a, b, 1, **options) for a, b in zip(widths, widths[1:], strict=False))
    )


class Twice(nn.Module):
    """The middle one runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.c(self.b(self.b(self.a(x)))).mean((2, 3)))


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        y = self.b(torch.relu(self.a(x)))
        return y, y


def mixed() -> Any:
    return nn.Sequential(nn.Conv2d(2, 4, 8), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 3))


SHARING = {
    "does not tile": (
        lambda: convolutions(2, 6, 4, 4),
        {"share": {"2": "1"}, "images": IMAGES},
        r"layer 2 learn from the input of 1, but s \(shape \(3, 6, 8, 8\)\) cannot be tiled and "
        r"pooled to \(3, 4, 8, 8\): choose another layer for it, or leave it out",
    ),
    "linear width": (
        lambda: nn.Sequential(nn.Linear(2, 6), nn.Linear(6, 4), nn.Linear(4, 3)),
        {"share": {"2": "1"}, "images": torch.randn(3, 2)},
        r"layer 2 learn from the input of 1, but s \(shape \(3, 6\)\) cannot be tiled to \(3, 4\)",
    ),
    "runs twice": (Twice, {"images": IMAGES}, "layer b, which runs more than once .* `skip`"),
    "runs twice by name": (
        Twice,
        {"share": {"c": "b"}, "images": IMAGES},
        "layer b, which runs more than once .* leave it out",
    ),
    "order": (
        lambda: convolutions(2, 4, 4, 4),
        {"share": {"1": "2"}, "images": IMAGES},
        "layer 1, which runs before 2: choose",
    ),
    "kinds": (
        mixed,
        {"share": {"2": "0"}, "images": IMAGES},
        "layer 2, which cannot learn from the input of 0: both must be conv",
    ),
    "padding": (
        lambda: convolutions(2, 4, 4, 4, padding="same"),
        {"share": {"2": "1"}},
        "layer 2, whose padding is not numbers of zeros.* leave it out",
    ),
    "unknown": (mixed, {"share": {"2": "9"}}, r"share \(=9\) must be one of"),
    "no batch": (lambda: convolutions(2, 4, 4, 4), {}, "images must be one batch"),
    "zero": (lambda: convolutions(2, 4, 4), {"share": 0, "images": IMAGES}, r"share \(=0\)"),
    "nothing": (
        mixed,
        {"images": IMAGES},
        "share finds no layer that could learn .* or `linears`",
    ),
    "at": (lambda: convolutions(2, 4, 4), {"at": ["0"]}, r"at \(=.*goes with feedback dfa"),
}


def unchanged(model: Any) -> bool:
    hooks = any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    plain = {m for m in model.modules() if type(m).__module__.startswith("asap")}
    return not hooks and not plain and not any("weight_f" in n for n in model.state_dict())


@pytest.mark.parametrize("case", SHARING)
def test_what_cannot_share_is_named(case: str) -> None:
    """A traceback in the first backward pass, or half a model converted."""
    make, options, words = SHARING[case]
    model = make()
    with pytest.raises(ArgumentError, match=words) as caught:
        asap.convert(model, "asap", **options)
    assert "\n" not in str(caught.value) and unchanged(model)


DIRECT = {
    "unknown": (mixed, {"at": ["9"], "images": IMAGES}, r"at \(=9\) must be one of"),
    "two outputs": (
        Pairs,
        {"images": torch.randn(3, 2)},
        r"output of type tuple: direct feedback needs one tensor \(N, classes\)",
    ),
    "a map": (lambda: convolutions(2, 4, 4), {"images": IMAGES}, "output of shape"),
    "one layer": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 3)),
        {"images": IMAGES},
        "no hidden layer",
    ),
    "no batch": (mixed, {}, "images must be one batch"),
    "share": (mixed, {"share": 2, "images": IMAGES}, r"share \(=2\) goes with feedback asap"),
}


@pytest.mark.parametrize("case", DIRECT)
def test_where_no_error_can_be_received_is_named(case: str) -> None:
    """A shape error of torch's own in the first backward pass."""
    make, options, words = DIRECT[case]
    model = make()
    with pytest.raises(ArgumentError, match=words) as caught:
        asap.convert(model, "dfa", **options)
    assert "\n" not in str(caught.value) and unchanged(model)


def test_a_module_that_does_not_run_receives_nothing() -> None:
    """A name that is there and never called, and a tensor of other rows than the batch."""
    model = Twice()
    model.spare = nn.ReLU()
    with pytest.raises(ArgumentError, match="spare, which does not run: leave it out"):
        asap.convert(model, "dfa", at=["spare"], images=IMAGES)
    folded: Any = nn.Sequential(nn.Unflatten(1, (2, 4)), nn.Flatten(0, 1), nn.Linear(4, 4))
    folded.extend([nn.Unflatten(0, (3, 2)), nn.Flatten(), nn.Linear(8, 3)])
    with pytest.raises(ArgumentError, match="has 2 of shape .* not one row an image"):
        asap.convert(folded, "dfa", images=torch.randn(3, 8))


def test_a_layer_alone_or_before_its_source_says_so() -> None:
    """The activation of an earlier batch, or of none."""
    model = convolutions(2, 4, 4, 4)
    asap.convert(model, "asap", images=IMAGES)
    model(IMAGES).sum().backward()
    with pytest.raises(ArgumentError, match="layer 2, which learns from the input of 1, and that"):
        model[2](torch.randn(3, 4, 8, 8))
    with torch.no_grad():
        model[2](torch.randn(3, 4, 8, 8))  # nothing is to be learnt


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # the trace
@pytest.mark.parametrize("mode", ["asap", "dfa"])
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_is_refused_and_not_silently_backprop(mode: str, reentrant: bool) -> None:
    """Run again in the backward pass, when no slot is full and no receiver has an output."""
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.act, self.head = nn.ReLU(), nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            x = self.b(self.a(x))
            x = checkpoint(lambda x: self.act(self.c(x)), x, use_reentrant=reentrant)
            return self.head(x.mean((2, 3)))

    model = Checkpointed()
    asap.convert(model, mode, images=IMAGES)
    with pytest.raises(ArgumentError, match="under gradient checkpointing"):
        model(IMAGES).sum().backward()
    with asap.backprop(model):
        model(IMAGES).sum().backward()


def test_images_of_another_size_are_refused_by_name_or_run() -> None:
    """F is drawn for one size; a shared activation fits at every size that divides."""
    model: Any = nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    )
    asap.convert(model, "dfa", images=IMAGES)
    with pytest.raises(ArgumentError, match="at has 1, now of shape .* convert anew"):
        model(torch.randn(3, 2, 9, 9))
    model = convolutions(2, 4, 4, 4)
    asap.convert(model, "asap", images=IMAGES)
    model(torch.randn(5, 2, 6, 6)).sum().backward()
    assert model[2].weight.grad is not None
