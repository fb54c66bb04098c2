"""PyTorch: the same networks in its eager mode, channels first or last, whichever is faster."""
import json
import os
import sys
import time

import torch
from torch import nn

BATCH, WARM_UP = 128, 12
torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count())))


class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False) if stride == 2 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet_20():
    stages, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
    for width in (16, 32, 64):
        for _ in range(3):
            stages.append(Block(channels, width, 2 if width != channels else 1))
            channels = width
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS = {
    "lenet-300-100": ((1, 28, 28), lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))),
    "lenet-5": ((1, 28, 28), lambda: nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))),
    "resnet-20": ((3, 32, 32), resnet_20),
}


def make_step(name, memory_format):
    torch.manual_seed(1)
    shape, network = NETWORKS[name]
    model = network().to(memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    batches = [(torch.rand(BATCH, *shape).mul(2).sub(1).contiguous(memory_format=memory_format), torch.randint(0, 10, (BATCH,))) for _ in range(8)]
    count = 0

    def step():
        nonlocal count
        x, y = batches[count % 8]
        count += 1
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()
    return step


def seconds(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


fastest = {}
print(json.dumps({"version": f"PyTorch {torch.__version__}"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    name = request["network"]
    if name not in fastest:
        candidates = [make_step(name, layout) for layout in (torch.contiguous_format, torch.channels_last)]
        for step in candidates:
            for _ in range(WARM_UP):
                step()
        fastest[name] = min(candidates, key=lambda step: min(seconds(step) for _ in range(10)))
    times, end = [], time.perf_counter() + request["seconds"]
    while time.perf_counter() < end or len(times) < 5:
        times.append(seconds(fastest[name]))
    times.sort()
    print(json.dumps({"msPerStep": 1000 * times[len(times) // 2], "steps": len(times)}), flush=True)
