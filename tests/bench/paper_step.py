#!/usr/bin/python3
"""One training step of the published marginalization model, as published, in eager PyTorch.

The yardstick of `make bench`: Liu, Ramadge and Adams (2024), arXiv:2310.12920, energy-based
training, written from the equations (docs of this project, METHODS 1.4), not from anyone's code.

Target     log f(x) = s^T J s + b sum s, s = 2x - 1, on a 10 x 10 torus; J = 0.1 x adjacency, so
           every bond counts twice, and b = 0.2.
Networks   log f_theta(x_S) and the logits of p_phi(x_i | x_S), two residual perceptrons 300-2048-
           2048-2048-2048 on the one-hot of {unknown, 0, 1}; one call evaluates both.
Step       chain  4 variables of each row erased and refilled in turn from p_phi
           KLt    mean_B r log f_theta(chain), r = log f_theta - log f, whitened over the batch
           M      mean_B R^2, R = f(x_<d) + log p(x_d | x_<d) - f(x_<=d), d uniform in 1..D
           B0     (f(empty) - D log 2)^2
           loss   alpha (D M + B0) + KLt, alpha = 4; Adam, 5e-4

Nine evaluations of both networks on the whole batch, since the published step always evaluates
both and also computes M for a batch of data, whose value no term of the loss uses:

    4 refills + 1 log f_theta(chain) + 2 of M on the chain + 2 of M on data = 9

(and the empty state, one row). Backward passes go through the four network halves that the loss
depends on: f(chain), f(x_<d), f(x_<=d), p(. | x_<d).

Prints {"seconds_per_step": median, "steps", "threads", "seconds": [...], "loss": [...]}.
"""
import argparse
import json
import math
import statistics
import time

import torch
from torch import nn

SIDE, D, K, B = 10, 100, 2, 512
HIDDEN, LAYERS = 2048, 4
SIGMA, BIAS, ALPHA, GIBBS, RATE = 0.1, 0.2, 4.0, 4, 5e-4
UNKNOWN = -1


class Tower(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.first = nn.Linear(D * (K + 1), HIDDEN)
        self.hidden = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(LAYERS - 1))
        self.last = nn.Linear(HIDDEN, outputs)

    def forward(self, x):
        h = self.first(x)
        for layer in self.hidden:
            h = nn.functional.leaky_relu(layer(h)) + h
        return self.last(h)


class Dual(nn.Module):
    """x: int64 [B, D], UNKNOWN where summed out  ->  log-marginal [B], logits [B, D, K]."""

    def __init__(self):
        super().__init__()
        self.marginal, self.conditional = Tower(1), Tower(D * K)

    def forward(self, x):
        x = nn.functional.one_hot(x + 1, K + 1).float().flatten(1)
        return self.marginal(x).squeeze(1), self.conditional(x).view(-1, D, K)


def couplings():
    """J = sigma x adjacency of the torus, symmetric: [D, D]."""
    site = torch.arange(D).view(SIDE, SIDE)
    J = torch.zeros(D, D)
    for axis in (0, 1):
        neighbour = site.roll(-1, axis)
        J[site.flatten(), neighbour.flatten()] = J[neighbour.flatten(), site.flatten()] = SIGMA
    return J


def log_density(x, J):
    s = 2.0 * x - 1
    return ((s @ J) * s).sum(1) + BIAS * s.sum(1)


def random_ranks(rows):
    """The rank of each variable in a uniformly random order: [rows, D]."""
    return torch.rand(rows, D).argsort(1)


@torch.no_grad()
def refill(net, chain, rank):
    """Erases the last GIBBS variables of each row's order and draws them again, one at a time."""
    rows = torch.arange(len(chain))
    for t in range(D - GIBBS, D):
        _, logits = net(chain.masked_fill(rank >= t, UNKNOWN))
        where = (rank == t).int().argmax(1)
        chain[rows, where] = torch.distributions.Categorical(logits=logits[rows, where]).sample()
    return chain


def consistency(net, x, rank):
    """mean R^2 at one uniformly random d for each row."""
    rows, d = torch.arange(len(x)), torch.randint(1, D + 1, (len(x), 1))
    before, logits = net(x.masked_fill(rank >= d - 1, UNKNOWN))
    after, _ = net(x.masked_fill(rank >= d, UNKNOWN))
    where = (rank == d - 1).int().argmax(1)
    conditional = logits[rows, where].log_softmax(1)[rows, x[rows, where]]
    return (before + conditional - after).square().mean()


def step(net, optimiser, chain, data, J):
    rank = random_ranks(B)
    refill(net, chain, rank)
    target = log_density(chain, J)

    marginal, _ = net(chain)
    advantage = marginal.detach() - target
    advantage = (advantage - advantage.mean()) / (advantage.std() + torch.finfo().eps)
    kl = (advantage * marginal).mean()
    M = consistency(net, chain, rank)
    consistency(net, data, random_ranks(B))  # part of the published step; its value is not used
    empty, _ = net(torch.full((1, D), UNKNOWN))
    loss = ALPHA * (D * M + (empty - D * math.log(2)).square().mean()) + kl

    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="default: PyTorch's own")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    torch.manual_seed(wanted.seed)

    net, J = Dual(), couplings()
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    chain, data = torch.randint(K, (B, D)), torch.randint(K, (B, D))
    seconds, loss = [], []
    for _ in range(wanted.warmup + wanted.steps):
        start = time.perf_counter()
        loss.append(step(net, optimiser, chain, data, J))
        seconds.append(time.perf_counter() - start)
    measured = seconds[wanted.warmup:]
    print(json.dumps({"seconds_per_step": statistics.median(measured), "steps": wanted.steps,
                      "threads": torch.get_num_threads(), "seconds": measured, "loss": loss}))


if __name__ == "__main__":
    main()
