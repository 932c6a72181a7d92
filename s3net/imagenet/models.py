"""The networks that --arch names: this paper's, else torchvision's."""

from typing import Any

from common.errors import unknown

FIXED = {"train": "s3net_new_big2", "validate_10crop": "s3net_new1"}
"""What the original's scripts build, whatever their --arch said."""


def arch_of(options: Any) -> str:
    """The name of the network that the options mean."""
    return FIXED[options.name] if options.switches.ignore_arch else options.arch


def make(name: str, classes: int) -> Any:
    """A network with so many outputs, drawn from torch's generator. ArgumentError for a name that
    neither this paper nor torchvision has."""
    from s3net.networks import PLANS, build

    if name in PLANS:
        return build(name, classes)
    import torchvision
    from torchvision.models import get_model, list_models

    known = list_models(module=torchvision.models)
    if name not in known:
        raise unknown("arch", name, [*PLANS, *known])
    more: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):  # their further outputs are for a loss of their own
        more = {"aux_logits": False, "init_weights": True}
    return get_model(name, weights=None, num_classes=classes, **more)
