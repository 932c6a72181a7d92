"""Lambda-ResNet-50: 3x3 convolutions that are made from the image (Bello, arXiv 2102.08602).

A lambda layer turns what surrounds a position into a matrix of k x v, its lambda, and applies it
to the position's query. In a head the query is q (k), keys K (k, n) are a softmax over the n
positions, values V (v, n):

    content    lambda = K V^T                    one for the whole image
    position   lambda_i = sum_j E[j - i] V_j     E (k, m, m) learned, j within m x m around i
    y_i        = (content + lambda_i)^T q_i      v channels a head

Positions cost n m^2 k v operations, most of this network; heads share keys and values.
"""

import torch
from torch import Tensor, nn

from s3net.tinyimagenet.comparison.resnet import Place, ResNet, projection

DROPOUT = 0.3


class LambdaConv(nn.Module):
    """(N, C, H, W) -> (N, out, H, W): `heads` queries of depth `k`, a context of `m` x `m`."""

    def __init__(
        self, channels: int, out: int, heads: int = 4, k: int = 16, u: int = 1, m: int = 23
    ) -> None:
        super().__init__()
        self.heads, self.k, self.u, self.v, self.m = heads, k, u, out // heads, m
        self.embedding = nn.Parameter(torch.randn(k, u, 1, m, m))
        self.queries = nn.Sequential(
            nn.Conv2d(channels, k * heads, 1, bias=False), nn.BatchNorm2d(k * heads)
        )
        self.keys = nn.Sequential(nn.Conv2d(channels, k * u, 1, bias=False), nn.BatchNorm2d(k * u))
        self.values = nn.Conv2d(channels, self.v * u, 1, bias=False)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        queries = self.queries(x).reshape(n, self.heads, self.k, -1)
        keys = self.softmax(self.keys(x).reshape(n, self.k, self.u, -1))
        values = self.values(x).reshape(n, self.u, self.v, -1)
        content = torch.einsum("nkup,nuvp->nkv", keys, values)
        # Every value is an image of its own to the same k kernels; of a kernel larger than the map
        # only the middle can ever meet it.
        reach = min(self.m // 2, max(height, width) - 1)
        rest = self.m // 2 - reach
        kernels = self.embedding.squeeze(2)[:, :, rest : self.m - rest, rest : self.m - rest]
        maps = values.transpose(1, 2).reshape(n * self.v, self.u, height, width)
        around = nn.functional.conv2d(maps, kernels, padding=reach)
        position = around.reshape(n, self.v, self.k, -1)
        y = torch.einsum("nhkp,nkv->nhvp", queries, content)
        y = y + torch.einsum("nhkp,nvkp->nhvp", queries, position)
        return y.reshape(n, -1, height, width)


class Bottleneck(nn.Module):
    """ResNet's block with a lambda layer; the first of a stage averages after it."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        width, out = place.width, place.out
        self.conv1 = nn.Conv2d(place.channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        pool = [] if place.index else [nn.AvgPool2d(3, place.stride, padding=1)]
        norm = nn.BatchNorm2d(width)
        self.conv2 = nn.Sequential(LambdaConv(width, width), *pool, norm, nn.ReLU(inplace=True))
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if not place.index:
            self.shortcut = projection(place.channels, out, place.stride, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(torch.relu(self.bn1(self.conv1(x))))
        return torch.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


def lambda_resnet50(classes: int) -> ResNet:
    """15.00 million parameters with 1000 classes."""
    head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(2048, classes))
    return ResNet(Bottleneck, classes, head=head)
