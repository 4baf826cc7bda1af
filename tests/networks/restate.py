"""The networks unet and transformer once more, in PyTorch, from the equations at the head of their
files.

    python3 restate.py FILE.safetensors

FILE holds a network's parameters under their names, "input" (int64 [B, D], -1 where unknown), what
the network answered ("logits", "log_marginal", "causal_logits" with its "order") and, as metadata,
"network" and its parameters as JSON. Prints the largest difference of each output; exit code 1
when one is above 1e-4.
"""
import json
import math
import struct
import sys

import numpy
import torch
import torch.nn.functional as F

DTYPES = {"F32": numpy.float32, "I64": numpy.int64}


def read_safetensors(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = torch.tensor(array.reshape(entry["shape"]))
    return tensors, metadata


class Weights:
    """Tensors below a prefix."""

    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    def at(self, name):
        return Weights(self.tensors, f"{self.prefix}{name}.")

    def __getitem__(self, name):
        return self.tensors[self.prefix + name]

    def __contains__(self, name):
        return any(key.startswith(f"{self.prefix}{name}.") for key in self.tensors)

    def linear(self, x):
        return x @ self["weight"].T + self["bias"]


def sinusoids(position, width):
    """cos and sin of position / 10000^(2c / width)."""
    frequency = 10000.0 ** (-torch.arange(width // 2) / (width // 2))
    angle = position[..., None].float() * frequency
    return angle.cos(), angle.sin()


class UNet:
    def __init__(self, weights, spec, shape):
        self.w, self.spec, self.shape = weights, spec, shape
        self.act = torch.relu if spec["activation"] == "relu" else F.silu

    def conv(self, w, x, stride=1):
        return F.conv2d(x, w["weight"], w["bias"], stride, w["weight"].shape[2] // 2)

    def norm(self, w, x):
        return F.group_norm(x, self.spec["groups"], w["weight"], w["bias"])

    def block(self, w, x, time):
        h = self.conv(w.at("conv1"), self.act(self.norm(w.at("norm1"), x)))
        h = h + w.at("time").linear(time)[:, :, None, None]
        h = self.conv(w.at("conv2"), self.act(self.norm(w.at("norm2"), h)))
        return h + (self.conv(w.at("skip"), x) if "skip" in w else x)

    def attention(self, w, x):
        b, c, height, width = x.shape
        qkv = self.conv(w.at("projections"), self.norm(w, x)).flatten(2)  # [B, 3 C, P]
        q, k, v = qkv.split(c, 1)
        weights = torch.softmax(torch.einsum("bcp,bcq->bpq", q, k) / math.sqrt(c), 2)
        mixed = torch.einsum("bpq,bcq->bcp", weights, v).view(b, c, height, width)
        return x + self.conv(w.at("out"), mixed)

    def stage(self, w, x, time):
        x = self.block(w.at("block"), x, time)
        return self.attention(w.at("attention"), x) if "attention" in w else x

    def down(self, x, time):
        w, depth, levels = self.w.at("down"), self.spec["depth"], len(self.spec["multipliers"])
        kept, n = [x], 0
        for level in range(levels):
            for _ in range(depth):
                x = self.stage(w.at(f"stages.{n}"), x, time)
                kept.append(x)
                n += 1
            if level + 1 < levels:
                x = self.conv(w.at(f"halvings.{level}"), x, 2)
                kept.append(x)
        for n in range(2):
            x = self.stage(w.at(f"middle.{n}"), x, time)
        return x, kept

    def up(self, w, x, kept, time):
        kept, depth, levels, n = list(kept), self.spec["depth"], len(self.spec["multipliers"]), 0
        for level in range(levels):
            for _ in range(depth + 1):
                x = self.stage(w.at(f"stages.{n}"), torch.cat([x, kept.pop()], 1), time)
                n += 1
            if level + 1 < levels:
                height, width = kept[-1].shape[2:]
                x = F.interpolate(x, scale_factor=2, mode="nearest")[:, :, :height, :width]
                x = self.conv(w.at(f"doublings.{level}"), x)
        return self.conv(w.at("out"), self.act(self.norm(w.at("norm"), x)))

    def __call__(self, inputs):
        s, w, levels = inputs["input"], self.w, self.spec["levels"]
        known = (s >= 0).float()
        value = known * (s.float() * 2 / (levels - 1) - 1)
        as_picture = lambda t: t.view(len(s), *self.shape)
        picture = torch.stack([as_picture(value), as_picture(known)], 1)
        rows = w["table"][s + 1].view(len(s), *self.shape, -1).permute(0, 3, 1, 2)
        x = torch.cat([self.conv(w.at("picture"), picture), rows], 1)
        cos, sin = sinusoids(known.sum(1), self.spec["channels"])
        time = F.silu(w.at("time1").linear(torch.cat([sin, cos], 1)))
        time = F.silu(w.at("time2").linear(time))
        middle, kept = self.down(x, time)
        logits = self.up(w.at("up"), middle, kept, time).flatten(2).transpose(1, 2)
        marginal = w.at("marginal")
        v = self.up(marginal.at("up"), middle, kept, time).flatten(1)
        h = F.gelu(marginal.at("dense2").linear(F.gelu(marginal.at("dense1").linear(v))))
        return {"logits": logits, "log_marginal": v.sum(1) + marginal.at("dense3").linear(h)[:, 0]}


class Transformer:
    def __init__(self, weights, spec, _):
        self.w, self.spec = weights, spec

    def norm(self, w, x):
        return F.layer_norm(x, x.shape[-1:], w["weight"], w["bias"])

    def perceptron(self, w, x):
        n = 0
        while str(n) in w:
            x = w.at(str(n)).linear(F.gelu(x) if n else x)
            n += 1
        return x

    def turn(self, x, position):
        """Each pair (x_c, x_{c + width/2}) as a complex number, times exp(i angle)."""
        cos, sin = sinusoids(position, x.shape[-1])
        first, second = x.chunk(2, -1)
        z = torch.complex(first, second) * torch.complex(cos, sin)
        return torch.cat([z.real, z.imag], -1)

    def layer(self, w, h, position, causal):
        heads = self.spec["heads"]
        q, k, v = w.at("project").linear(self.norm(w.at("norm1"), h)).chunk(3, 2)
        split = lambda t: t.unflatten(2, (heads, -1)).transpose(1, 2)
        q, k, v = split(q), split(k), split(v)
        if self.spec["positions"] == "rotary":
            position = position[:, None] if position.dim() == 2 else position
            q, k = self.turn(q, position), self.turn(k, position)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        if causal:
            length = scores.shape[2]
            scores = scores + torch.full((length, length), -math.inf).triu(1)
        h = h + w.at("out").linear((scores.softmax(3) @ v).transpose(1, 2).flatten(2))
        wide = F.gelu(w.at("widen").linear(self.norm(w.at("norm2"), h)))
        return h + w.at("narrow").linear(wide)

    def layers(self, w, h, position, causal=False):
        n = 0
        while str(n) in w:
            h = self.layer(w.at(str(n)), h, position, causal)
            n += 1
        return h

    def place(self, h, position):
        if self.spec["positions"] == "rotary":
            return h
        cos, sin = sinusoids(position, h.shape[-1])
        return h + torch.cat([sin, cos], -1)

    def head(self, h):
        return self.perceptron(self.w.at("head"), self.norm(self.w.at("norm"), h))

    def __call__(self, inputs):
        s, w, by_class = inputs["input"], self.w, self.spec["pooling"] == "class"
        h = w["table"][s + 1]
        if by_class:
            h = torch.cat([w["class"].expand(len(s), 1, -1), h], 1)
        position = torch.arange(h.shape[1])
        h = self.layers(w.at("layers"), self.place(h, position), position)
        marginal = w.at("marginal")
        m = self.norm(marginal.at("norm"), self.layers(marginal.at("layers"), h, position))
        pooled = m[:, 0] if by_class else m.mean(1)
        log_marginal = (m @ marginal["sum"]).sum(1) + self.perceptron(marginal.at("dense"), pooled)[:, 0]
        out = {"logits": self.head(h[:, 1:] if by_class else h), "log_marginal": log_marginal}

        x, order = inputs["full"], inputs["order"]
        before = torch.cat([torch.full((len(x), 1), -1), x.gather(1, order)[:, :-1]], 1)
        h = self.layers(w.at("layers"), self.place(w["table"][before + 1], order), order, True)
        slots = self.head(h)
        causal = torch.empty_like(slots)
        for t in range(order.shape[1]):
            causal[torch.arange(len(x)), order[:, t]] = slots[:, t]
        out["causal_logits"] = causal
        return out


def main():
    tensors, metadata = read_safetensors(sys.argv[1])
    spec, shape = json.loads(metadata["spec"]), json.loads(metadata["shape"])
    network = {"unet": UNet, "transformer": Transformer}[spec["type"]](Weights(tensors), spec, shape)
    with torch.no_grad():
        worst = 0.0
        for name, value in network(tensors).items():
            difference = (value - tensors["answer." + name]).abs().max().item()
            print(f"{spec['type']} {name}: differs by {difference:.1e}")
            worst = max(worst, difference)
    return 0 if worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
