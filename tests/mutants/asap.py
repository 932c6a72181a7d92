"""Defects for the rules of ASAP, its networks, its learner and its names."""

from tests.mutants import Mutation, Suite

RULE, LAYERS, NETWORKS = "asap/rule.py", "asap/layers.py", "asap/networks.py"
MODES, SHARING = "asap/modes.py", "asap/sharing.py"
LEARNER = "asap/learner.py"
SHARED = "asap/converting/shared.py"
MUTATIONS = (
    Mutation(
        "use the forward weight where the feedback weight belongs",
        RULE,
        "        x, _, B, _, *how = inputs\n        ctx.save_for_backward(x, B)",
        "        x, B, _, _, *how = inputs\n        ctx.save_for_backward(x, B)",
    ),
    Mutation(
        "learn a linear layer's weights from the wrong side",
        RULE,
        "delta @ B if needs_x else None",
        "-delta @ B if needs_x else None",
    ),
    Mutation(
        "tile each channel in place instead of the whole tensor",
        RULE,
        "return torch.cat([pooled] * copies, 1) if copies > 1 else pooled",
        "return pooled.repeat_interleave(copies, 1)",
    ),
    Mutation(
        "average where the maximum is asked for",
        RULE,
        "return functional.max_pool2d(s, (height // h, width // w))",
        "return functional.avg_pool2d(s, (height // h, width // w))",
    ),
    Mutation(
        "let the layers above a receiver send their error too",
        RULE,
        "        ctx.mark_non_differentiable(output[0])\n        ctx.save_for_backward(F)",
        "        ctx.save_for_backward(F)",
    ),
    Mutation(
        "a derivative of one at zero",
        SHARING,
        "return x.clamp_min(0), x > 0",
        "return x.clamp_min(0), x >= 0",
    ),
    Mutation(
        "take the new activation one block too late",
        SHARING,
        "return x if every and j % every == 0 else shared",
        "return x if every and (j + 1) % every == 0 else shared",
    ),
    Mutation(
        "the shortcut learns from the new activation",
        NETWORKS,
        "x = self.short_norm(_convolve(self.short_conv, x, incoming))",
        "x = self.short_norm(_convolve(self.short_conv, x, outgoing))",
    ),
    Mutation(
        "train the stem that the original detaches",
        MODES,
        "self.frozen_stem = self.shares and frozen_stem",
        "self.frozen_stem = False",
    ),
    Mutation(
        "tie the copied feedback to the weights",
        MODES,
        "conv.B.data.copy_(conv.weight.data)",
        "conv.B.data = conv.weight.data",
    ),
    Mutation(
        "let the feedback of a frozen layer learn alone",
        LAYERS,
        "return self.B if self.weight.requires_grad else self.B.detach()",
        "return self.B",
    ),
    Mutation(
        "make a parameter of every feedback",
        LAYERS,
        "if learns and B is not None:",
        "if B is not None:",
    ),
    Mutation(
        "leave learned feedback where it was",
        LEARNER,
        "            B.grad = W.grad\n",
        "            B.grad = None\n",
    ),
    Mutation(
        "move feedback with the gradient of the step before",
        LEARNER,
        "        logits = super().differentiate(images, labels)\n"
        "        for W, B in self._pairs.values():\n            B.grad = W.grad\n",
        "        for W, B in self._pairs.values():\n            B.grad = W.grad\n"
        "        logits = super().differentiate(images, labels)\n",
    ),
    Mutation(
        "share with one layer too many in a converted model",
        SHARED,
        "if count == k:",
        "if count > k:",
    ),
    Mutation(
        "count a shortcut's convolution as a layer of its own",
        SHARED,
        "if tensor in readers and _ready(call):",
        "if False and _ready(call):",
    ),
)
SUITE = Suite(
    tests=(
        "tests/rules/test_asap_rule.py",
        "tests/rules/test_asap_networks.py",
        "tests/rules/test_asap_layers.py",
        "tests/rules/test_asap_doors.py",
        "tests/rules/test_asap_sharing_anywhere.py",
        "tests/golden/test_golden.py",
        "tests/rules/test_asap_learner.py",
        "-k",
        "asap and not full and not dfa and not compile",
    ),
    mutations=MUTATIONS,
    preload=("torch",),
)
