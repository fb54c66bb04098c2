"""PyTorch: the same networks in its eager mode, channels first or last, whichever is faster.

BENCH_DDP=rank,size,port: one of several processes of DistributedDataParallel over gloo, each with its share of the batch."""
import json
import os
import sys
import time

import torch
from torch import nn

WARM_UP = 12
torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count())))
RANK, SIZE, PORT = (int(part) for part in os.environ.get("BENCH_DDP", "0,1,0").split(","))
if SIZE > 1:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{PORT}", rank=RANK, world_size=SIZE)


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


class Inverted(nn.Module):
    def __init__(self, inputs, width, expansion, stride):
        super().__init__()
        wide = inputs * expansion
        unit = lambda a, b, k, s, g: [nn.Conv2d(a, b, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(b), nn.ReLU6(inplace=True)]
        self.body = nn.Sequential(*(unit(inputs, wide, 1, 1, 1) if expansion > 1 else []), *unit(wide, wide, 3, stride, wide), nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))
        self.residual = stride == 1 and inputs == width

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


def mobilenet_v2():
    stages, channels = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6(inplace=True)], 32
    for expansion, width, repeats, first in ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 3, 2), (6, 96, 2, 1)):
        for i in range(repeats):
            stages.append(Inverted(channels, width, expansion, first if i == 0 else 1))
            channels = width
    return nn.Sequential(*stages, nn.Conv2d(channels, 320, 1, bias=False), nn.BatchNorm2d(320), nn.ReLU6(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(320, 10))


class Projected(Block):
    def __init__(self, inputs, width, stride):
        super().__init__(inputs, width, stride)
        if stride == 2:
            self.shortcut = nn.Sequential(self.shortcut, nn.BatchNorm2d(width))


def resnet_18():
    stages, channels = [nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)], 64
    for width in (64, 128, 256, 512):
        for _ in range(2):
            stages.append(Projected(channels, width, 2 if width != channels else 1))
            channels = width
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True), 4, enable_nested_tensor=False)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.LSTM(128, 128, 2, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.layers(x)[1][0][-1])


# name: (batch, sample, network)
NETWORKS = {
    "mobilenet-v2": (64, (3, 32, 32), mobilenet_v2),
    "resnet-18": (32, (3, 64, 64), resnet_18),
    "transformer": (32, (128, 128), Transformer),
    "lstm": (64, (100, 128), Lstm),
    "lenet-300-100": (128, (1, 28, 28), lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))),
    "lenet-5": (128, (1, 28, 28), lambda: nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))),
    "resnet-20": (128, (3, 32, 32), resnet_20),
}


def make_step(name, memory_format):
    torch.manual_seed(1)
    batch, shape, network = NETWORKS[name]
    batch //= SIZE
    model = network().to(memory_format=memory_format)
    if SIZE > 1:
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    batches = [(torch.rand(batch, *shape).mul(2).sub(1).contiguous(memory_format=memory_format), torch.randint(0, 10, (batch,))) for _ in range(8)]
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


def fastest_of(candidates):
    """The same one in every process."""
    times = torch.tensor([min(seconds(step) for _ in range(10)) for step in candidates])
    if SIZE > 1:
        torch.distributed.all_reduce(times)
    return candidates[int(times.argmin())]


fastest = {}
print(json.dumps({"version": f"PyTorch {torch.__version__}"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    name = request["network"]
    if name not in fastest:
        layouts = (torch.contiguous_format, torch.channels_last) if len(NETWORKS[name][1]) == 3 else (torch.contiguous_format,)
        candidates = [make_step(name, layout) for layout in layouts]
        for step in candidates:
            for _ in range(WARM_UP):
                step()
        fastest[name] = fastest_of(candidates)
    times, end, steps = [], time.perf_counter() + request["seconds"], request.get("steps")
    while len(times) < steps if steps else time.perf_counter() < end or len(times) < 5:
        times.append(seconds(fastest[name]))
    times.sort()
    print(json.dumps({"msPerStep": 1000 * times[len(times) // 2], "steps": len(times)}), flush=True)
