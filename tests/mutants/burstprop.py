"""Defects for the rule of Burstprop, its updates, node perturbation and ReLU units."""

from tests.mutants import Mutation, Suite

RULE, UPDATE, NETWORKS = "burstprop/rule.py", "burstprop/update.py", "burstprop/networks.py"
NOISE, THEIRS = "burstprop/perturbation/rule.py", "burstprop/perturbation/original.py"
MUTATIONS = (
    Mutation(
        "flip the teaching signal",
        RULE,
        "p_teacher = (target - e).mul_(1 - e)",
        "p_teacher = (e - target).mul_(1 - e)",
    ),
    Mutation(
        "forget the derivative's factor in the apical potential",
        RULE,
        "return received.addcmul_(received, e, value=-1)",
        "return received",
    ),
    Mutation(
        "leave what was in memory where no part of a small transport falls",
        RULE,
        "spread[:, h:], spread[:, :h, :, w:] = 0, 0",
        "spread[:, h:] = 0",
    ),
    Mutation(
        "give the recurrent input that factor too",
        RULE,
        "b_pre = torch.sigmoid(received[0]).mul_(e)",
        "b_pre = torch.sigmoid(received[0] * (1 - e)).mul_(e)",
    ),
    Mutation(
        "drop the transpose of Z",
        RULE,
        "sub_(b_pre @ Z.t())",
        "sub_(b_pre @ Z)",
    ),
    Mutation(
        "send bursts down through W",
        NETWORKS,
        "down = layer.transport(sent.flatten(0, 1), layer.weight_fa, rates[i - 1].shape[1:])",
        "down = layer.transport(sent.flatten(0, 1), layer.weight, rates[i - 1].shape[1:])",
    ),
    Mutation(
        "read the rate of a phase as its difference from the other",
        NETWORKS,
        "received[1].add_(received[0], alpha=sign)",
        "pass",
    ),
    Mutation(
        "let every scale pass",
        "burstprop/inspection/compatibility.py",
        "if not math.isclose(below.kappa, scale, rel_tol=1e-6):",
        "if False:",
    ),
    Mutation(
        "decay what is frozen",
        UPDATE,
        "        if not layer.weight.requires_grad:\n            return []\n",
        "",
    ),
    Mutation(
        "lose the rows that a stride leaves over",
        RULE,
        "whole = spread.view(n, high * stride, wide * stride, channels)[:, : size[0], : size[1]]",
        "whole = spread.view(n, high * stride, wide * stride, channels)[:, -size[0] :, -size[1] :]",
    ),
    Mutation(
        "forget the decay of feedback weights",
        UPDATE,
        "return [layer.weight, layer.weight_fa] if layer.learns_feedback else [layer.weight]",
        "return [layer.weight]",
    ),
    Mutation(
        "multiply the decay by the rate",
        UPDATE,
        "torch.add(V, W, alpha=1 - self.decay, out=W)",
        "torch.add(V, W, alpha=1 - self.decay * self.lr[i], out=W)",
    ),
    Mutation(
        "swap the rates of first and last layer",
        UPDATE,
        "rate, delta = -self.lr[i] * scale, result.delta",
        "rate, delta = -self.lr[-1 - i] * scale, result.delta",
    ),
    Mutation(
        "drive u away from zero",
        UPDATE,
        "recurrent_rate = self.recurrent_lr * scale",
        "recurrent_rate = -self.recurrent_lr * scale",
    ),
    Mutation(
        "leave the first layer's Y where it was",
        UPDATE,
        "return [layer.weight, layer.weight_fa] if layer.learns_feedback else [layer.weight]",
        "return [layer.weight, layer.weight_fa] if i and layer.learns_feedback else [layer.weight]",
    ),
    Mutation(
        "noise of a hidden layer that stays where it is",
        NOISE,
        "v = risen if v is None else risen.add_(v)",
        "v = risen if v is None else v",
    ),
    Mutation(
        "one error difference for all samples",
        NOISE,
        "gap = (change * (2 * (clean.rates[-1] - target) + change)).mean(1)",
        "gap = (change * (2 * (clean.rates[-1] - target) + change)).mean().repeat(len(change))",
    ),
    Mutation(
        "keep the original's potentials up to date",
        THEIRS,
        "clean.potentials[i] = layer.potential(clean.inputs[i] if own else running)\n"
        "            running = torch.sigmoid(clean.potentials[i])",
        "running = torch.sigmoid(layer.potential(clean.inputs[i] if own else running))",
    ),
    Mutation(
        "count every unit of the original's convolutions",
        THEIRS,
        "elif unit == sum(rates[layer].shape[1:]):",
        "elif unit == rates[layer][0].numel():",
    ),
    Mutation(
        "the exact form's difference without its exponential",
        "burstprop/imagenet/rule.py",
        "step = torch.expm1(v.abs().neg_()).copysign_(v)",
        "step = v.clone()",
    ),
    Mutation(
        "scale down twice what kappa has scaled down",
        "burstprop/imagenet/rule.py",
        "v.div_(kappa)",
        "v.mul_(kappa)",
    ),
    Mutation(
        "undo kappa at the bottom",
        "burstprop/imagenet/networks.py",
        "ReLUUnits(kappa if i == count - 1 else 1.0, exact)",
        "ReLUUnits(kappa if i == 0 else 1.0, exact)",
    ),
    Mutation(
        "forget to train ImageNet's feedback weights",
        "burstprop/imagenet/learner.py",
        "layer.weight_fa.grad = layer.weight.grad",
        "layer.weight_fa.grad = None",
    ),
)
SUITE = Suite(
    tests=(
        "tests/rules/test_burstprop_rule.py",
        "tests/rules/test_burstprop_units.py",
        "tests/rules/test_burstprop_doors.py",
        "tests/rules/test_burstprop_perturbation.py",
        "tests/rules/test_burstprop_imagenet_rule.py",
        "tests/golden/test_golden.py",
        "-k",
        "burstprop and not fullsize",
    ),
    mutations=MUTATIONS,
    preload=("torch",),
)
