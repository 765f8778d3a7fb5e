"""Training steps in PyTorch, for a comparison with ours: the networks of train-models.ts.

Usage: python torch-step.py NAME THREADS MODE BATCH DEPTH (MODE: eager, channels_last or compile; DEPTH 0 for the usual one).
Reads a number of steps a line; writes their mean time in ms and the peak memory in bytes as JSON.
"""
import json
import math
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

name, threads, mode, batch, depth = sys.argv[1], *map(str, sys.argv[2:6])
batch, depth = int(batch), int(depth)
torch.set_num_threads(int(threads))
torch.manual_seed(0)


def convolve(inputs, outputs, kernel, stride):
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Mlp(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.first = nn.Linear(784, 512)
        self.inner = nn.ModuleList([nn.Linear(512, 512) for _ in range(depth)])
        self.head = nn.Linear(512, 10)

    def forward(self, x):
        x = F.relu(self.first(x))
        for layer in self.inner:
            x = F.relu(layer(x))
        return self.head(x)


class Cnn(nn.Module):
    def __init__(self, depth):
        super().__init__()
        shapes = [(1, 32, 1), (32, 32, 2), (32, 64, 1), (64, 64, 2), (64, 128, 1)]
        self.plain = nn.ModuleList([convolve(a, b, 3, stride) for a, b, stride in shapes])
        self.residual = nn.ModuleList([convolve(128, 128, 3, 1) for _ in range(depth)])
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        for layer in self.plain:
            x = F.relu(layer(x))
        for layer in self.residual:
            x = F.relu(x + layer(x))
        return self.head(x.mean((2, 3)))


class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.a = convolve(inputs, width, 3, stride)
        self.b = convolve(width, width, 3, 1)
        self.c = nn.Identity() if stride == 1 else convolve(inputs, width, 1, stride)

    def forward(self, x):
        return F.relu(self.b(F.relu(self.a(x))) + self.c(x))


class Resnet20(nn.Module):
    def __init__(self, depth):
        super().__init__()
        blocks = []
        for stage, width in enumerate((16, 32, 64)):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(width // stride, width, stride))
        self.stem = convolve(3, 16, 3, 1)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class Encoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.f1, self.f2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        samples, tokens, width = x.shape
        inner = self.norm1(x)

        def split(layer):
            return layer(inner).view(samples, tokens, self.heads, -1).transpose(1, 2)

        scores = split(self.q) @ split(self.k).transpose(-1, -2) / math.sqrt(width // self.heads)
        mixed = F.softmax(scores, -1) @ split(self.v)
        x = x + self.o(mixed.transpose(1, 2).reshape(samples, tokens, width))
        return x + self.f2(F.gelu(self.f1(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.embedding = nn.Embedding(1000, 128)
        self.position = nn.Parameter(torch.randn(64, 128) * 0.02)
        self.blocks = nn.Sequential(*[Encoder(128, 4) for _ in range(2 * depth)])
        self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 10)

    def forward(self, x):
        x = self.blocks(self.embedding(x) + self.position)
        return self.head(self.norm(x).mean(1))


def distillation(logits, teacher, labels, temperature=4, alpha=0.7):
    student = F.log_softmax(logits / temperature, -1)
    divergence = F.kl_div(student, F.softmax(teacher / temperature, -1), reduction='batchmean')
    return alpha * temperature**2 * divergence + (1 - alpha) * F.cross_entropy(logits, labels)


makers = {'mlp': (Mlp, 1), 'cnn': (Cnn, 1), 'transformer': (Transformer, 1), 'resnet20': (Resnet20, 3)}
shapes = {'mlp': (784,), 'cnn': (1, 28, 28), 'resnet20': (3, 32, 32)}
maker, usual = makers[name]
net = maker(depth or usual)
x = torch.randint(0, 1000, (batch, 64)) if name == 'transformer' else torch.randn(batch, *shapes[name])
labels, teacher = torch.randint(0, 10, (batch,)), torch.randn(batch, 10) * 3
if mode == 'channels_last':
    net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
run = torch.compile(net) if mode == 'compile' else net
if name == 'resnet20':
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
else:
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)


def step():
    optimizer.zero_grad(set_to_none=True)
    logits = run(x)
    loss = F.cross_entropy(logits, labels) if name == 'resnet20' else distillation(logits, teacher, labels)
    loss.backward()
    optimizer.step()
    return loss.item()


for _ in range(10):
    step()
print(json.dumps({'ready': True}), flush=True)
for line in sys.stdin:
    steps = int(line)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    ms = (time.perf_counter() - start) * 1e3 / steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({'ms': ms, 'peakBytes': peak}), flush=True)
