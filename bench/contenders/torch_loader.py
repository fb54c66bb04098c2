"""PyTorch's DataLoader over a zip of JPEGs: the same changes as bench/loader.ts asks for, in torchvision."""
import io
import json
import sys
import time
import zipfile

import torch
import torchvision
from PIL import Image
from torchvision import transforms

torch.set_num_threads(1)


class Images(torch.utils.data.Dataset):
    """Each worker opens the archive itself, as a descriptor shared by processes has one position."""

    def __init__(self, path, size):
        self.path, self.zip = path, None
        with zipfile.ZipFile(path) as archive:
            self.names = sorted(archive.namelist())
        self.classes = {name: i for i, name in enumerate(sorted({name.split("/")[1] for name in self.names}))}
        self.change = transforms.Compose([
            transforms.Resize((size, size), antialias=True), transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(size, padding=size // 8), transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        if self.zip is None:
            self.zip = zipfile.ZipFile(self.path)
        name = self.names[index]
        image = Image.open(io.BytesIO(self.zip.read(name))).convert("RGB")
        return self.change(image), self.classes[name.split("/")[1]]


print(json.dumps({"version": f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    loader = torch.utils.data.DataLoader(
        Images(request["path"], request["size"]), batch_size=request["batchSize"], shuffle=True,
        num_workers=request["numWorkers"], persistent_workers=request["numWorkers"] > 0)
    rates = []
    for _ in range(request["epochs"]):
        start, count = time.perf_counter(), 0
        for images, _classes in loader:
            count += len(images)
        rates.append(count / (time.perf_counter() - start))
    print(json.dumps({"imagesPerSecond": rates}), flush=True)
    del loader
