"""The trainings of examples/ in PyTorch, for `bench.ts trainings`: the same models, sizes and optimizer, on random inputs.

    python3 trainings.py NAME STEPS BLOCKS     prints {"ms": [...]}: of a step, in blocks of steps after the first ten; one thread
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)


class Digits(nn.Module):  # examples/digits.ts
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.out = nn.Linear(16 * 9, 10)

    def forward(self, x, labels):
        for conv in (self.one, self.two):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return F.cross_entropy(self.out(x.flatten(1)), labels)

    def inputs(self):
        return torch.randn(64, 1, 14, 14), torch.randint(10, (64,))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5
        scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class CharacterModel(nn.Module):  # examples/character_model.ts
    def __init__(self, letters=90, width=64, length=48, heads=4):
        super().__init__()
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters)

    def forward(self, ids, labels):
        x = self.letters(ids) + self.places.weight
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), labels)

    def inputs(self):
        return torch.randint(90, (16, 48)), torch.randint(90, (16 * 48,))


class Autoencoder(nn.Module):  # examples/autoencoder.ts
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 4))
        self.decode = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64))

    def forward(self, x, noise):
        center, log_variance = self.encode(x).chunk(2, 1)
        logits = self.decode(center + noise * (log_variance / 2).exp())
        missed = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        divergence = 0.5 * (center**2 + log_variance.exp() - log_variance - 1).sum(1)
        return (missed + divergence).mean()

    def inputs(self):
        return torch.rand(64, 64).round(), torch.randn(64, 2)


class DualEncoder(nn.Module):  # examples/dual_encoder.ts
    def __init__(self, width=32):
        super().__init__()
        encoder = lambda inputs: nn.Sequential(nn.Linear(inputs, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.picture, self.caption, self.words = encoder(144), encoder(2 * width), nn.Embedding(16, width)
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def forward(self, pictures, captions):
        a, b = self.picture(pictures), self.caption(self.words(captions).flatten(1))
        logits = F.normalize(a) @ F.normalize(b).T * self.temperature.exp()
        labels = torch.arange(len(logits))
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2

    def inputs(self):
        return torch.rand(32, 144), torch.randint(16, (32, 2))


MODELS = {"digits": Digits, "character_model": CharacterModel, "autoencoder": Autoencoder, "dual_encoder": DualEncoder}


def main(name, steps, blocks):
    torch.manual_seed(0)
    model = MODELS[name]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    inputs, times = model.inputs(), []
    for step in range(steps * blocks + 10):
        if step >= 10 and (step - 10) % steps == 0:
            times.append(time.perf_counter())
        loss = model(*inputs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    times.append(time.perf_counter())
    print(json.dumps({"ms": [1000 * (b - a) / steps for a, b in zip(times, times[1:])], "loss": loss.item()}))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
