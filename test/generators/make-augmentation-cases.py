"""Writes test/data/augmentation-cases.json: what torchvision makes of one image (pip install torch torchvision numpy).

The image is (37 y + 53 x + 91 c + 17 x y c) mod 256, 4 rows of 5 pixels, 3 channels.
"""
import json
import sys

import numpy as np
import torch
import torchvision
import torchvision.transforms.functional as F

height, width = 4, 5
image = np.array([[[(37 * y + 53 * x + 91 * c + 17 * x * y * c) % 256 for c in range(3)]
                   for x in range(width)] for y in range(height)], dtype=np.float32)
colours = torch.from_numpy(image / 255).permute(2, 0, 1)
levels = torch.from_numpy(image).permute(2, 0, 1)


def flat(tensor, factor):
    return [round(float(value) * factor, 3) for value in tensor.permute(1, 2, 0).flatten()]


cases = [
    *({"change": "brightness", "by": f, "expected": flat(F.adjust_brightness(colours, f), 255)} for f in (0.3, 1.4)),
    *({"change": "contrast", "by": f, "expected": flat(F.adjust_contrast(colours, f), 255)} for f in (0.6, 1.8)),
    *({"change": "saturation", "by": f, "expected": flat(F.adjust_saturation(colours, f), 255)} for f in (0.0, 1.7)),
    *({"change": "hue", "by": f, "expected": flat(F.adjust_hue(colours, f), 255)} for f in (0.15, -0.4)),
    *({"change": "rotate", "by": f, "expected": flat(F.rotate(levels, f, F.InterpolationMode.BILINEAR), 1)}
      for f in (30, -100)),
]
with open(sys.argv[1] if len(sys.argv) > 1 else "test/data/augmentation-cases.json", "w") as file:
    head = f"torchvision {torchvision.__version__}"
    body = ",\n    ".join(json.dumps(case) for case in cases)
    file.write(f'{{\n  "source": "{head}",\n  "cases": [\n    {body}\n  ]\n}}\n')
