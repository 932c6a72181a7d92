"""Defects for the rule of LRA-E in PyTorch, its training loop and its seed path."""

from tests.mutants import Mutation, Suite

RULE, LEARNER = "lra_e/torch_rule.py", "lra_e/torch_learner.py"
MUTATIONS = (
    Mutation(
        "drop the transpose of E's update",
        RULE,
        "return self.gamma * (gW if wrong else gW.t())",
        "return self.gamma * (gW if wrong or gW.shape[0] == gW.shape[1] else gW.t())",
    ),
    Mutation(
        "drop the transpose in every layer, the top one included",
        RULE,
        "wrong = self.transposed_e and i < len(self.W) - 1",
        "wrong = self.transposed_e",
    ),
    Mutation(
        "flip the teaching signal",
        RULE,
        "log_p.exp_()[rows, labels] -= 1",
        "log_p.exp_()[rows, labels] += 1",
    ),
    Mutation(
        "flip the displacement",
        RULE,
        "self.E[i - 1], beta=0, alpha=self.beta)",
        "self.E[i - 1], beta=0, alpha=-self.beta)",
    ),
    Mutation(
        "forget to divide by the batch",
        RULE,
        'scale = 1 / len(z[0]) if self.reduction == "mean" else 1.0',
        "scale = 1.0",
    ),
    Mutation(
        "divide by the batch where the sum is asked for",
        RULE,
        'scale = 1 / len(z[0]) if self.reduction == "mean" else 1.0',
        "scale = 1 / len(z[0])",
    ),
    Mutation(
        "use the forward weight where the feedback weight belongs",
        RULE,
        "self.E[i - 1], beta=0, alpha=self.beta)",
        "self.W[i].t(), beta=0, alpha=self.beta)",
    ),
    Mutation(
        "skip the bias",
        RULE,
        "h.append(z[i] @ W if self.b is None else torch.addmm(self.b[i], z[i], W))",
        "h.append(z[i] @ W)",
    ),
    Mutation(
        "miss a detach: the update carries a graph",
        RULE,
        "    @torch.no_grad()\n    def compute_lra_update(",
        "    def compute_lra_update(",
    ),
    Mutation(
        "another rate for the hidden layers than for the output layer",
        RULE,
        "torch.addmm(g, below.t(), error, beta=0, alpha=scale, out=g)",
        "torch.addmm(g, below.t(), error, beta=0, alpha=scale * (1 + (g is out[0])), out=g)",
    ),
    Mutation(
        "forget weight decay on the error weights",
        LEARNER,
        'held(1 - group["lr"] * group["weight_decay"], self._flat)',
        "held(1.0, self._flat)",
    ),
    Mutation(
        "the error weights get no update",
        RULE,
        "gE = update.gE if self.gamma else None",
        "gE = None",
    ),
    Mutation(
        "ignore gamma",
        RULE,
        "return self.gamma * (gW",
        "return 1.0 * (gW",
    ),
    Mutation(
        "displace the activity instead of the pre-activation",
        RULE,
        "return z - self._phi.phi(h - s)",
        "return z - self._phi.phi(z - s)",
    ),
    Mutation(
        "the cancelling form where the exact one is asked for",
        RULE,
        'if self.error_form == "exact":',
        'if self.error_form == "inexact":',
    ),
    Mutation(
        "forget the local loss",
        RULE,
        'return change if self.local_loss == "gaussian" else',
        "return change if self.local_loss else",
    ),
    Mutation(
        "backprop without the slope of the activation",
        RULE,
        "torch.ops.aten.tanh_backward(back, z[i])",
        "back",
    ),
    Mutation(
        "one draw too few in the original's stream",
        "lra_e/torch_seedpath.py",
        "DRAWS_PER_EPOCH * (epoch - 1) + 1",
        "(DRAWS_PER_EPOCH - 1) * (epoch - 1) + 1",
    ),
)

SUITE = Suite(
    tests=(
        "tests/cross/test_lra_e_oracle.py",
        "tests/cross/test_lra_e_limits.py",
        "tests/cross/test_lra_e_seedpath.py",
        "tests/golden/test_golden.py",
        "-k",
        "not tensorflow and not full_ and (lra_e or not golden)",
    ),
    mutations=MUTATIONS,
    preload=("torch", "torch._dynamo"),
)
