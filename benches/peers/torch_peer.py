"""PyTorch: `torch_peer.py JOB`."""

import sys

import torch
from torch import nn

from serve import THREADS, mnist, serve

NETS = {
    "bp_mlp": ([784, 256, 256, 10], nn.ReLU),
    "default": ([784, 256, 256, 10], nn.ReLU),
    "memory": ([784, 256, 256, 10], nn.ReLU),
    "bp_deep": ([784] + 10 * [256] + [10], nn.Tanh),
    "lenet": ([784, 120, 84, 10], nn.ReLU),
    "vgg": ([512, 10], nn.ReLU),
    "bp_autoencoder": ([784, 1000, 500, 250, 30, 250, 500, 1000, 784], nn.Tanh),
}
# Channels, side of the kernels and paddings; a padding of 3 makes pictures of 32 × 32 of those of 28 × 28.
CONVOLUTIONS = {"lenet": ([1, 6, 16], 5, [2, 2]), "vgg": ([1, 32, 64, 128, 128], 3, [3, 1, 1, 1])}


def convolutions(job):
    if job not in CONVOLUTIONS:
        return []
    channels, kernel, paddings = CONVOLUTIONS[job]
    layers = [nn.Unflatten(1, (1, 28, 28))]
    for inputs, outputs, padding in zip(channels, channels[1:], paddings):
        layers += [nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]
    return [*layers, nn.Flatten()]


def backpropagation(job):
    widths, activation = NETS[job]
    layers = convolutions(job)
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), activation()]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    pixels, labels = (torch.from_numpy(part) for part in mnist())
    onto_itself = job == "bp_autoencoder"
    targets = pixels if onto_itself else labels
    loss = nn.MSELoss() if onto_itself else nn.CrossEntropyLoss()

    def epoch():
        for batch in torch.randperm(len(pixels)).split(128):
            x = pixels.index_select(0, batch)
            optimizer.zero_grad()
            loss(model(x), x if onto_itself else targets.index_select(0, batch)).backward()
            optimizer.step()

    @torch.no_grad()
    def score():
        total = 0.0
        for x, y in zip(pixels.split(1000), targets.split(1000)):
            outputs = model(x)
            total += ((outputs - y) ** 2).mean(1).sum() if onto_itself else (outputs.argmax(1) == y).sum()
        return total / len(pixels)

    return epoch, score


class BlockCoordinateDescent:
    """Three-splitting BCD (Zeng et al. 2019, arXiv 1803.00225). Rows are examples, so every formula is transposed."""

    RHO = GAMMA = 1.0
    ALPHA = 5.0

    def __init__(self, widths):
        pixels, self.labels = (torch.from_numpy(part) for part in mnist())
        self.y = nn.functional.one_hot(self.labels, 10).float()
        self.w, self.b, self.u, self.v = [], [], [], [pixels]
        self.top = len(widths) - 2
        for j, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            self.w.append(0.01 * torch.randn(outputs, inputs))
            self.b.append(torch.full((outputs,), 0.1))
            self.u.append(self.map(j, self.v[j]))
            self.v.append(self.u[j].clone() if j == self.top else self.u[j].relu())

    def map(self, j, v):
        return torch.addmm(self.b[j], v, self.w[j].T)

    def step(self):
        """One pass, from the output to the input."""
        for j in range(self.top, -1, -1):
            if j == self.top:
                self.output(j)
            else:
                self.hidden(j)
            self.layer(j)

    def output(self, j):
        rho, gamma, alpha = self.RHO, self.GAMMA, self.ALPHA
        self.v[j + 1].mul_(alpha).add_(self.u[j], alpha=gamma).add_(self.y).div_(1 + gamma + alpha)
        self.u[j] = self.map(j, self.v[j]).mul_(rho).add_(self.v[j + 1], alpha=gamma).div_(gamma + rho)

    def hidden(self, j):
        rho, gamma, alpha = self.RHO, self.GAMMA, self.ALPHA
        above = self.w[j + 1]
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(rho * above.T @ above + gamma * torch.eye(above.shape[1])))
        right = torch.addmm(self.u[j].relu(), self.u[j + 1] - self.b[j + 1], above, beta=gamma, alpha=rho)
        v = torch.mm(right, inverse, out=self.v[j + 1])
        m = self.map(j, self.v[j]).mul_(rho).add_(self.u[j], alpha=alpha).div_(rho + alpha)
        k = (rho + alpha) / gamma
        positive = ((v + k * m) / (1 + k)).clamp_(min=0)
        negative = m.clamp(max=0)
        cost = lambda u: (v - u.relu()).square_().add_((u - m).square_(), alpha=k)
        self.u[j] = torch.where(cost(positive) <= cost(negative), positive, negative)

    def layer(self, j):
        rho, alpha = self.RHO, self.ALPHA
        v, u = self.v[j], self.u[j]
        normal = torch.addmm(alpha * torch.eye(v.shape[1]), v.T, v, alpha=rho)
        right = torch.addmm(self.w[j], (u - self.b[j]).T, v, beta=alpha, alpha=rho)
        self.w[j] = torch.cholesky_solve(right.T, torch.linalg.cholesky(normal)).T.contiguous()
        residual = u.sum(0) - self.w[j] @ v.sum(0)
        self.b[j] = (alpha * self.b[j] + rho * residual) / (alpha + rho * len(v))

    def accuracy(self):
        right = 0
        for x, y in zip(self.v[0].split(1000), self.labels.split(1000)):
            for j in range(self.top):
                x = self.map(j, x).relu()
            right += (self.map(self.top, x).argmax(1) == y).sum()
        return right / len(self.labels)


def main(job):
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    if job == "bcd":
        with torch.no_grad():
            descent = BlockCoordinateDescent([784, 1500, 1500, 1500, 10])
            serve(descent.step, descent.accuracy)
    else:
        serve(*backpropagation(job))


main(sys.argv[1])
