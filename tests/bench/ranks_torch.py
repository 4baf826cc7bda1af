#!/usr/bin/python3
"""Seconds of a training step under PyTorch's DistributedDataParallel: what tests/bench/ranks.py is held against.

    /usr/bin/python3 tests/bench/ranks_torch.py paper
    /usr/bin/python3 tests/bench/ranks_torch.py CHECKPOINT.safetensors

`paper` is one step of the published marginalization model (tests/bench/paper_step.py: networks, batch and losses), whose chains
each rank moves for itself. A checkpoint of a run of any_order_arm on a U-Net (experiments/mnist/cpu.json) gives the same
network in PyTorch, as tests/networks/restate.py writes it, and a step of masked cross-entropy on 64 rows in float32. Ranks share the
batch; one process of one thread and of two, and two ranks of one thread each, take turns; the smallest median of the turns
counts. Needs python3-torch.
"""
import argparse
import json
import math
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

import numpy
import torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "networks")]
from ranks import take_turns  # noqa: E402


class PaperLoss(nn.Module):
    """The published step but for its unused batch of data, on this rank's share of the chains."""

    def __init__(self, ranks):
        super().__init__()
        import paper_step
        self.of, self.net, self.J = paper_step, paper_step.Dual(), paper_step.couplings()
        self.chain = torch.randint(paper_step.K, (paper_step.B // ranks, paper_step.D))

    def refill(self):
        rank = torch.rand(len(self.chain), self.of.D).argsort(1)
        self.of.refill(self.net, self.chain, rank)
        return rank

    def forward(self, rank):
        of, chain = self.of, self.chain
        target = of.log_density(chain, self.J)
        marginal = self.net.marginal(one_hot(chain, of.K)).squeeze(1)
        advantage = marginal.detach() - target
        kl = ((advantage - advantage.mean()) * marginal).mean()
        rows, d = torch.arange(len(chain)), torch.randint(1, of.D + 1, (len(chain), 1))
        before = one_hot(chain.masked_fill(rank >= d - 1, of.UNKNOWN), of.K)
        after = one_hot(chain.masked_fill(rank >= d, of.UNKNOWN), of.K)
        where = (rank == d - 1).int().argmax(1)
        logits = self.net.conditional(before).view(-1, of.D, of.K)
        conditional = logits[rows, where].log_softmax(1)[rows, chain[rows, where]]
        square = (self.net.marginal(before)[:, 0] + conditional - self.net.marginal(after)[:, 0]).square().mean()
        empty = self.net.marginal(one_hot(torch.full((1, of.D), of.UNKNOWN), of.K))
        return of.ALPHA * (of.D * square + (empty - of.D * math.log(2)).square().mean()) + kl


def one_hot(x, levels):
    return nn.functional.one_hot(x + 1, levels + 1).float().flatten(1)


class Named(nn.Module):
    """Parameters under a checkpoint's names, which may have dots."""

    def __init__(self, tensors):
        super().__init__()
        self.names = sorted(tensors)
        self.all = nn.ParameterList(nn.Parameter(tensors[name].clone()) for name in self.names)

    def tensors(self):
        return dict(zip(self.names, self.all))


class MaskedLoss(nn.Module):
    """Masked cross-entropy of a U-Net's conditionals at random rows."""

    ROWS = 64

    def __init__(self, file, ranks):
        super().__init__()
        import restate
        self.restate = restate
        restate.DTYPES |= {"F64": numpy.float64, "U8": numpy.uint8, "BF16": numpy.uint16}  # of what else a checkpoint has
        tensors, metadata = restate.read_safetensors(file)
        spec = json.loads(metadata["spec"])["network"]
        self.spec = {"levels": 2, "groups": 8, "activation": "silu", "depth": 2} | spec
        self.rows = self.ROWS // ranks
        prefix = "model.conditional."
        wanted = {name[len(prefix):]: tensor for name, tensor in tensors.items()
                  if name.startswith(prefix) and not name.startswith(prefix + "marginal")}
        self.named = Named({name: tensor for name, tensor in wanted.items() if tensor.is_floating_point()})

    def refill(self):
        return torch.randint(2, (self.rows, 784))

    def forward(self, x):
        hidden = torch.rand(x.shape) < torch.rand(len(x), 1)
        net = OnlyLogits(self.restate, self.restate.Weights(self.named.tensors()), self.spec)
        log_p = net(x.masked_fill(hidden, -1)).log_softmax(2)
        loss = -log_p.gather(2, x[:, :, None])[:, :, 0]
        return (loss * hidden).sum(1).div(hidden.sum(1).clamp(min=1)).mean()


def OnlyLogits(restate, weights, spec):
    """The network without its other head."""
    net = restate.UNet(weights, spec, (28, 28))

    def logits(s):
        w = net.w
        known = (s >= 0).float()
        as_picture = lambda t: t.view(len(s), 28, 28)
        picture = torch.stack([as_picture(known * (s.float() * 2 - 1)), as_picture(known)], 1)
        rows = w["table"][s + 1].view(len(s), 28, 28, -1).permute(0, 3, 1, 2)
        x = torch.cat([net.conv(w.at("picture"), picture), rows], 1)
        cos, sin = restate.sinusoids(known.sum(1), spec["channels"])
        time_ = nn.functional.silu(w.at("time1").linear(torch.cat([sin, cos], 1)))
        time_ = nn.functional.silu(w.at("time2").linear(time_))
        middle, kept = net.down(x, time_)
        return net.up(w.at("up"), middle, kept, time_).flatten(2).transpose(1, 2)

    return logits


def work(what, threads, steps):
    """One rank; rank 0 prints the median of its steps' seconds."""
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(threads)
    torch.manual_seed(int(os.environ.get("RANK", 0)))
    loss = PaperLoss(ranks) if what == "paper" else MaskedLoss(what, ranks)
    step = loss
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
        step = nn.parallel.DistributedDataParallel(loss)
    optimiser = torch.optim.Adam(loss.parameters(), lr=5e-4)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        drawn = loss.refill()
        optimiser.zero_grad(set_to_none=True)
        step(drawn).backward()
        optimiser.step()
        seconds.append(time.perf_counter() - start)
    if int(os.environ.get("RANK", 0)) == 0:
        print(statistics.median(seconds[steps // 5:]))


def measure(what, ranks, threads, steps):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": str(threads), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    words = [sys.executable, __file__, what, "--threads", str(threads), "--steps", str(steps)]
    alone = {} if ranks == 1 else {"WORLD_SIZE": str(ranks)}
    all_ranks = [subprocess.Popen(words, env=common | alone | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
                 for rank in range(ranks)]
    said = [rank.communicate()[0] for rank in all_ranks]
    if any(rank.returncode for rank in all_ranks):
        sys.exit(f"{what}: a rank failed")
    return float(said[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", help="paper, or a checkpoint")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.threads:
        return work(a.what, a.threads, a.steps)
    take_turns(a.turns, lambda ranks, threads: measure(a.what, ranks, threads, a.steps))


if __name__ == "__main__":
    main()
