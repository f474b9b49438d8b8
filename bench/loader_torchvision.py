#!/usr/bin/env python3
"""Images per second of torchvision's pre-training augmentation on PIL images, one thread.

    loader_torchvision.py FOLDER [--images N] [--rounds N]

Reads, decodes, crops, flips and normalises one image after another, as a dataset's __getitem__ does,
without the workers and the batches of a DataLoader. Prints a line of images/s for each round. Needs
torch, torchvision and pillow."""
import argparse
import pathlib
import time

import torch
from PIL import Image
from torchvision import transforms


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=256, help="images in a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    augment = transforms.Compose([
        transforms.RandomResizedCrop(224, scale=(0.2, 1.0), interpolation=3),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ])
    names = sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))

    def fetch(i):
        with open(names[i % len(names)], "rb") as f:
            return augment(Image.open(f).convert("RGB"))

    for i in range(len(names)):  # the files are in memory afterwards, for whoever reads them
        fetch(i)
    order = torch.randperm(len(names)).tolist()
    for r in range(args.rounds):
        start = time.perf_counter()
        for i in range(args.images):
            fetch(order[(r * args.images + i) % len(names)])
        print(f"{args.images / (time.perf_counter() - start):.1f}", flush=True)


if __name__ == "__main__":
    main()
