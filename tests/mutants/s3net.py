"""Defects for S3Net's wiring, its networks, its kernels and its saliency maps."""

from tests.mutants import Mutation, Suite

TOPOLOGY, NETWORKS, CIFAR = "s3net/topology.py", "s3net/networks.py", "s3net/cifar100/s3model.py"
KERNEL, COMPARE = "s3net/expressibility/kernel.py", "s3net/expressibility/compare.py"
RULE, SEGMENTATION = "s3net/interpretability/rule.py", "s3net/interpretability/segmentation.py"
TINY = "s3net/tinyimagenet"
IMAGENET = "s3net/imagenet"
MUTATIONS = (
    Mutation(
        "leave the block's input out of the shortcuts",
        TOPOLOGY,
        "        return join(kept)\n",
        "        return join(kept[1:])\n",
    ),
    Mutation(
        "let sparse layers see everything",
        TOPOLOGY,
        'join(kept) if wiring == "dense" and len(kept) > 1 else kept[-1]',
        "join(kept) if len(kept) > 1 else kept[-1]",
    ),
    Mutation(
        "let dense layers see two layers only",
        TOPOLOGY,
        "layer(join(kept) if",
        "layer(join(kept[:1] + kept[-1:]) if",
    ),
    Mutation(
        "do not halve the width between blocks",
        NETWORKS,
        'channels // 2 if wiring in ("sparse", "dense")',
        'channels if wiring in ("sparse", "dense")',
    ),
    Mutation(
        "put the input of a CIFAR block first",
        CIFAR,
        "[kept[-1], *kept[:-1]] if",
        "kept if",
    ),
    Mutation(
        "forget the tangent of the weights of a dense layer",
        KERNEL,
        "return State(q, q + scale * self.t,",
        "return State(q, scale * self.t,",
    ),
    Mutation(
        "lose the digits of the diagonal",
        KERNEL,
        "            np.fill_diagonal(c, 1.0)",
        "            np.fill_diagonal(c, 1.0 - 1e-12)",
    ),
    Mutation(
        "an absolute ridge",
        KERNEL,
        "ridge * np.trace(k_tt) / n * np.eye(n)",
        "ridge * np.eye(n)",
    ),
    Mutation(
        "intervals as if splits were independent",
        COMPARE,
        "(1 / count + test_share / (1 - test_share))",
        "(1 / count)",
    ),
    Mutation(
        "the bias of a batch norm without its mean",
        RULE,
        "shift = -layer.running_mean * slope",
        "shift = -0 * slope",
    ),
    Mutation(
        "explain the largest logit whatever is asked",
        RULE,
        'if targets is None else classes(targets, logits, "targets")',
        'if True else classes(targets, logits, "targets")',
    ),
    Mutation(
        "normalise a map by its maximum alone",
        RULE,
        "(added - magnitudes.shape[1] * low) / (high - low + EPSILON)",
        "added / (high + EPSILON)",
    ),
    Mutation(
        "Dice without its factor",
        SEGMENTATION,
        "return 2 * both / np.maximum(size, 1)",
        "return both / np.maximum(size, 1)",
    ),
    Mutation(
        "keep the low resolution of an octave to itself",
        f"{TINY}/comparison/octave.py",
        "y_high + (up if self.stride == 2 else self.upsample(up))",
        "y_high + 0 * (up if self.stride == 2 else self.upsample(up))",
    ),
    Mutation(
        "lambdas that do not know where they are",
        f"{TINY}/comparison/lambda_net.py",
        'y + torch.einsum("nhkp,nvkp->nhvp", queries, position)',
        'y + 0 * torch.einsum("nhkp,nvkp->nhvp", queries, position)',
    ),
    Mutation(
        "a softmax over the depth of the keys",
        f"{TINY}/comparison/lambda_net.py",
        "nn.Softmax(dim=-1)",
        "nn.Softmax(dim=1)",
    ),
    Mutation(
        "one scale for all branches",
        f"{TINY}/comparison/scale_net.py",
        "scale = min(SCALES[int(i)], side)",
        "scale = min(1, side)",
    ),
    Mutation(
        "a sum of a random stage's outputs",
        f"{TINY}/comparison/rand_wire.py",
        ".mean(0)",
        ".sum(0)",
    ),
    Mutation(
        "edges that run from large to small",
        f"{TINY}/comparison/graphs.py",
        "feeding[b].append(a)",
        "feeding[a].append(b)",
    ),
    Mutation(
        "draw a resumed run's graphs anew",
        f"{TINY}/program.py",
        "if kept and kept.is_file():",
        "if False:",
    ),
    Mutation(
        "a ghost's gate above one",
        f"{TINY}/comparison/ghost.py",
        ".clamp(0, 1)",
        ".clamp(0, 9)",
    ),
    Mutation(
        "the table's rate whatever was typed",
        f"{TINY}/options.py",
        ' and "lr" not in self.call.typed',
        "",
    ),
    Mutation(
        "audit a network in evaluation",
        "common/backends/torch_learner.py",
        "        self.net.train()\n        with torch_backend.kept_buffers(self.net):",
        "        self.net.eval()\n        with torch_backend.kept_buffers(self.net):",
    ),
    Mutation(
        "believe a cache of other pictures",
        "common/data/image_cache.py",
        'if digest == kept["files"] and',
        "if",
    ),
    Mutation(
        "the first of ten crops speaks for all",
        f"{IMAGENET}/learner.py",
        ".view(*images.shape[:2], -1).mean(1)",
        ".view(*images.shape[:2], -1)[:, 0]",
    ),
    Mutation(
        "count top-1 as top-5",
        "common/backends/torch_learner.py",
        "return loss, hits[:, 0].sum(), hits.sum()",
        "return loss, hits[:, 0].sum(), hits[:, 0].sum()",
    ),
    Mutation(
        "an equal network is a better one",
        f"{IMAGENET}/program.py",
        "learner.best[by] > before[by]",
        "learner.best[by] >= before[by]",
    ),
    Mutation(
        "a part of an lmdb file keeps the labels of the whole",
        f"{IMAGENET}/records.py",
        "self.indices[chosen], self.labels[chosen]",
        "self.indices[chosen], self.labels[: len(chosen)]",
    ),
)
SUITE = Suite(
    tests=(
        "tests/rules/test_s3net_topology.py",
        "tests/rules/test_s3net_ntk.py",
        "tests/rules/test_s3net_fullgrad.py",
        "tests/rules/test_s3net_wiring.py",
        "tests/rules/test_s3net_learner.py",
        "tests/rules/test_s3net_comparison.py",
        "tests/cli/test_s3net_tiny_programs.py",
        "tests/datasets/test_image_cache.py",
        "tests/datasets/test_s3net_lmdb.py",
        "tests/cli/test_s3net_imagenet.py",
        "tests/golden/test_golden.py",
        "-k",
        "(s3net or image_cache) and not fullsize and not neural_tangents and not torchvision "
        "and not promised and not small_images",
    ),
    mutations=MUTATIONS,
    preload=("torch",),
)
