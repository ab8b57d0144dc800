"""Data as people have them: small sources of every kind, layout and damage that a reader must account for."""

import csv
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from images import class_folders, darker, random_pixels, save, scene
from PIL import Image

COUNTS = {"cat": 12, "dog": 12}


def pets(root: Path, seed: int = 0) -> Path:
    """Two class folders with 12 small PNG files each."""
    return class_folders(root, COUNTS, seed)


# Files -------------------------------------------------------------------------------------------------------


def picture(seed: int = 0, size: int = 16) -> Image.Image:
    """A coloured picture of smooth gradients, which even lossy formats keep nearly as it is."""
    ramp = np.linspace(0, 255, size)
    red, green = np.meshgrid(ramp, ramp)
    blue = np.full((size, size), 40 * seed % 256)
    return Image.fromarray(np.stack([red, green, blue], 2).astype(np.uint8))


def write_dicom(path: Path, values: np.ndarray, **tags: object) -> Path:
    """A gray DICOM file of (H, W) uint8 or uint16 values; `tags` are set on top."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 * values.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_heic(path: Path, image: Image.Image) -> Path:
    """A HEIC file, as iPhones write them."""
    import pillow_heif

    path.parent.mkdir(parents=True, exist_ok=True)
    pillow_heif.from_pillow(image).save(path, quality=-1)
    return path


def bomb(path: Path, width: int = 20_000, height: int = 20_000) -> Path:
    """A PNG file of some bytes whose header promises `width` x `height` pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + _chunk(b"IEND", b"")
    )
    return path


def _chunk(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def damaged(source: Path, path: Path, at: int, count: int = 8) -> Path:
    """A copy of `source` with the bits of `count` bytes from `at` on flipped."""
    contents = bytearray(source.read_bytes())
    contents[at : at + count] = bytes(255 - byte for byte in contents[at : at + count])
    path.write_bytes(contents)
    return path


def wide_png(path: Path, low: int, high: int, size: int = 8) -> Path:
    """A 16-bit gray PNG file whose values run from `low` to `high`."""
    values = np.linspace(low, high, size * size).reshape(size, size)
    return save(path, np.rint(values).astype(np.uint16))


def float_tiff(path: Path, low: float, high: float, size: int = 8) -> Path:
    """A floating-point TIFF file whose values run from `low` to `high`."""
    return save(path, np.linspace(low, high, size * size).reshape(size, size).astype(np.float32))


def twins(root: Path) -> tuple[Path, Path]:
    """`root`/p1/data and p2/data: BMP files of the same names, sizes and modification times, but other pictures."""
    folders = (root / "p1" / "data", root / "p2" / "data")
    for number, folder in enumerate(folders):
        for name, count in COUNTS.items():
            for i in range(count):
                pixels = random_pixels(10_000 * number + 100 * len(name) + i + (name == "cat") * 50)
                os.utime(save(folder / name / f"{i}.bmp", pixels), ns=(10**18, 10**18))
        for path in (*folder.iterdir(), folder):
            os.utime(path, ns=(10**18, 10**18))
    return folders


# Folders -----------------------------------------------------------------------------------------------------


def iphone(root: Path) -> Path:
    """Pets, with files of every other kind beside: what the account of files must name."""
    pets(root)
    for i, name in enumerate(("notes.txt", "clip.mov", "raw.cr2", "drawing.svg", "array.npy", "README")):
        (root / "cat" / name).write_bytes(b"x" * (i + 1))
    (root / "dog" / "second.txt").write_text("words")
    (root / "dog" / ".hidden.png").write_bytes(b"x")
    return root


JUNK = (
    *("@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@Recycle", "#recycle"),
    *("__pycache__", "node_modules", "__MACOSX", ".Trash-1000"),
)


def littered(root: Path) -> Path:
    """Pets, with each folder of JUNK below the root and in a class, a picture in each."""
    pets(root)
    for i, name in enumerate(JUNK):
        save(root / name / "thumb.png", random_pixels(5000 + i))
        save(root / "cat" / name / "0.png" / "SYNOPHOTO_THUMB.png", random_pixels(6000 + i))
    return root


def split_folders(train: str, test: str, validation: str = "") -> Callable[[Path], Path]:
    """Builds folders of those names with the pets' classes in each."""

    def build(root: Path) -> Path:
        names = [name for name in (train, test, validation) if name]
        for number, name in enumerate(names):
            class_folders(root / name, {"cat": 6 - number, "dog": 6 - number}, seed=50 * number)
        return root

    return build


def splits_in_classes(root: Path) -> Path:
    """cat/train, cat/test, dog/train, dog/test."""
    for number, name in enumerate(("cat", "dog")):
        class_folders(root / name, {"train": 8, "test": 3}, seed=5000 * number)
    return root


HOSTILE = "<img src=x onerror=alert(1)>"


def troubled(root: Path) -> Path:
    """Splits with all that an inspection finds: leaks, labels that disagree, unreadable files, others, imbalance."""
    for number, (name, count) in enumerate({"cat": 60, "dog": 40, HOSTILE: 5}.items()):
        for i in range(count):
            save(root / "train" / name / f"{i}.png", scene(1000 * number + i))
            if i < count // 5:
                save(root / "test" / name / f"{i}.png", scene(1000 * number + 500 + i))
    save(root / "test" / "cat" / "copy.png", scene(3))
    save(root / "test" / "cat" / "darker.png", darker(scene(4)))
    save(root / "train" / "dog" / "cat.png", scene(5))
    (root / "train" / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (root / "train" / "cat" / "notes.txt").write_text("words")
    (root / "train" / "dog" / "clip.mov").write_bytes(b"x")
    return root


# Tables of labels --------------------------------------------------------------------------------------------


def flat(root: Path, count: int = 24, first: int = 0) -> Path:
    """`root`/0.png, 1.png, ...: pictures in one folder."""
    for i in range(first, first + count):
        save(root / f"{i}.png", random_pixels(7000 + i))
    return root


def animal(number: int) -> str:
    """The label of the picture of that number in the tables."""
    return ("cat", "dog")[number % 2]


def write_table(path: Path, columns: dict[str, list[object]]) -> Path:
    """A table of labels in the form that the file's ending says; None is an empty value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    else:
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(columns), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def image_folder(root: Path) -> Path:
    """A Hugging Face image folder: train and test with pictures, and their labels in a metadata.csv in each."""
    for split, first, count in (("train", 0, 20), ("test", 100, 8)):
        flat(root / split, count, first)
        names = range(first, first + count)
        columns = {"file_name": [f"{i}.png" for i in names], "label": [animal(i) for i in names]}
        write_table(root / split / "metadata.csv", columns)
    return root


def write_parquet(
    path: Path, count: int, labels: list, names: list[str] | None = None, seed: int = 0
) -> Path:
    """A file as the Hugging Face libraries write it; with class names where `names` are given."""
    pictures = []
    for i in range(count):
        file = save(path.parent / "picture.png", random_pixels(seed + i))
        pictures.append({"bytes": file.read_bytes(), "path": f"{i}.png"})
        file.unlink()
    table = pa.table({"image": pictures, "label": labels})
    features: dict = {"image": {"_type": "Image"}}
    if names:
        features["label"] = {"names": names, "_type": "ClassLabel"}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=7)
    return path
