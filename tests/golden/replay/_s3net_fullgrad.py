"""FullGrad of a small S3 net: every intermediate number, the map, its segmentation and Dice."""

import numpy as np

from tests.golden.trace import Trace

EXACT = 1e-10
PIXELS_APART = 2  # of 50176: Pillow's resize rounds differently from version to version


def replay_fullgrad(trace: Trace) -> None:
    """AssertionError where a number differs."""
    import torch

    from s3net.interpretability.rule import biases, fullgrad
    from s3net.networks import S3Net

    net = S3Net(
        trace.integer("hp_growth_rate"),
        trace.integers("hp_block_config"),
        trace.integer("hp_num_init_features"),
        bn_size=trace.integer("hp_bn_size"),
        classes=trace.integer("hp_num_classes"),
    ).double()
    names = [key for key in trace if key.startswith("params/")]
    net.load_state_dict({k.removeprefix("params/"): torch.from_numpy(trace[k]) for k in names})
    images = torch.from_numpy(trace["input"])
    result = fullgrad(net, images, details=True)
    trace.compare("logits", result.logits.numpy(), EXACT)
    assert result.targets.tolist() == [trace.integer("target_class")]
    trace.compare("input_gradient", result.input_gradient.numpy(), EXACT)
    assert [layer.name for layer in result.layers] == trace["layers_with_bias"].tolist()
    trace.compare("effective_biases", torch.cat(list(biases(net).values())).numpy(), EXACT)
    shape = trace.shape("bias_gradient_sums")
    sums = np.reshape([float(layer.sums) for layer in result.layers], shape)
    trace.compare("bias_gradient_sums", sums, EXACT)
    lengths = [float(layer.l2) for layer in result.layers]
    trace.compare("bias_gradient_l2", np.reshape(lengths, shape), EXACT)
    assert [layer.ndim for layer in result.layers] == trace["bias_gradient_ndim"].tolist()
    trace.compare(
        "completeness_sum", result.total.numpy().reshape(trace.shape("completeness_sum")), EXACT
    )
    assert float(result.errors) < 1e-12 and float(trace["completeness_error"]) < 1e-12
    trace.compare("saliency", result.saliency.numpy(), EXACT)
    other = fullgrad(net, images, torch.tensor([1]))
    trace.compare("saliency_target1", other.saliency.numpy(), EXACT)
    _replay_segmentation(trace)


def _replay_segmentation(trace: Trace) -> None:
    from PIL import Image

    from s3net.interpretability.segmentation import PERCENTILES, dice, red_round_trip, segment

    saliency, mask = trace["saliency"][0], trace["seg_map"][None] > 0
    at_90 = segment(saliency, np.array([90]))[0, 0]
    trace.compare("segmentation_at_90", at_90.astype(trace["segmentation_at_90"].dtype), 0)
    curve = dice(saliency, mask, np.array(PERCENTILES))[:, 0]
    key = "dice_percentile_99_down_to_80"
    trace.compare(key, curve.reshape(trace.shape(key)), EXACT)
    image = Image.fromarray(trace["mask_rgb_uint8"]).resize((224, 224), Image.Resampling.BILINEAR)
    ours = red_round_trip(np.asarray(image))
    assert (ours != trace["mask_binarised_red"].astype(bool)).sum() <= PIXELS_APART
