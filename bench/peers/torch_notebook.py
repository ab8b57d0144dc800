"""The PyTorch loop that people write for the notebooks' task; see bench/notebook_speed.py.

torchvision's ImageFolder and transforms, a DataLoader, an nn.Sequential, and a loop over batches.
"""

import argparse
import json
import time
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

TRAIN = ("train1", "train3", "train4", "train5")
AUGMENTATION = [
    transforms.RandomHorizontalFlip(),
    transforms.RandomRotation(18, interpolation=transforms.InterpolationMode.BILINEAR),
    transforms.RandomAffine(0, scale=(0.95, 1.05), interpolation=transforms.InterpolationMode.BILINEAR),
    transforms.ColorJitter(brightness=0.05, contrast=0.05),
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warmup", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args()
    deep = options.recipe == "model-s-augmented"
    model = notebook_03() if deep else notebook_01()
    if deep:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=2e-5)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    transform = transforms.Compose([*(AUGMENTATION if deep else []), transforms.ToTensor()])
    images = ConcatDataset([ImageFolder(options.data / name, transform) for name in TRAIN])
    for steps in (options.warmup, options.steps):
        some = Subset(images, torch.randperm(len(images))[: 64 * steps].tolist())
        loader = DataLoader(some, batch_size=64, shuffle=True, num_workers=options.workers)
        began = time.perf_counter()
        train(model, loader, optimizer)
        seconds = time.perf_counter() - began
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    print(json.dumps({"seconds": seconds, "versions": versions}))


def train(model, loader, optimizer):
    criterion = nn.CrossEntropyLoss()
    model.train()
    running_loss, correct = 0.0, 0
    for inputs, labels in loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        correct += (outputs.argmax(1) == labels).sum().item()


def notebook_01():
    blocks = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        blocks += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10))


def notebook_03():
    blocks = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        for channels in (inputs, outputs):
            blocks += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(outputs)]
        blocks.append(nn.MaxPool2d(2))
    head = [
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(2048, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 10),
    ]
    return nn.Sequential(*blocks, *head)


if __name__ == "__main__":
    main()
