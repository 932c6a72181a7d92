"""What a training step keeps for its backward pass, and has at its peak, counted on two samples."""

from typing import Any


def kept(net: Any, side: int, size: int = 2) -> dict[str, int]:
    """Bytes a sample, of a torch network on images (size, 3, side, side), float32:

    conv_inputs   activations that the weight gradients of convolutions read, the images excepted
    norm_inputs   inputs of the batch norms
    other         masks, pools with their indices, linear layers
    """
    import torch
    from torch import nn

    images = torch.randn(size, 3, side, side).contiguous(memory_format=torch.channels_last)
    own = {t.untyped_storage().data_ptr() for t in net.state_dict().values()}
    own.add(images.untyped_storage().data_ptr())
    kinds: dict[int, str] = {}
    found_at: dict[int, int] = {}
    alive: list[Any] = []  # or an address could come back

    def note(tensor: Any) -> Any:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in own and tensor.numel() >= size:
            found_at[pointer] = tensor.untyped_storage().nbytes()
            alive.append(tensor)
        return tensor

    def look(module: Any, inputs: tuple) -> None:
        s = inputs[1] if len(inputs) > 1 and inputs[1] is not None else inputs[0]
        is_norm = isinstance(module, nn.BatchNorm2d)
        kinds.setdefault(
            s.untyped_storage().data_ptr(), "norm_inputs" if is_norm else "conv_inputs"
        )
        alive.append(s)

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_pre_hook(look)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        net.train()(images)
    numbers = {"conv_inputs": 0, "norm_inputs": 0, "other": 0}
    for pointer, count in found_at.items():
        numbers[kinds.get(pointer, "other")] += count // size
    return numbers | {"total": sum(numbers.values())}


def peak(net: Any, side: int, size: int = 2) -> int:
    """Bytes a sample, the most that forward and backward have at once beyond parameters and images,
    the gradients of the parameters included: from the allocations that torch records."""
    import json
    import tempfile
    from pathlib import Path

    import torch
    from torch.profiler import ProfilerActivity, profile

    images = torch.randn(size, 3, side, side).contiguous(memory_format=torch.channels_last)
    net.to(memory_format=torch.channels_last).train()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        net(images).sum().backward()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(file))
        events = json.loads(file.read_text())["traceEvents"]
    sizes = [
        e["args"]["Bytes"]
        for e in sorted(
            (e for e in events if e["name"] == "[memory]"), key=lambda e: e["args"]["Ev Idx"]
        )
    ]
    most = held = 0
    for change in sizes:
        held += change
        most = max(most, held)
    return most // size
