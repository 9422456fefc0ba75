"""Odd and broken pictures, trees and archives: each with what becomes of it."""

import io
import os
import struct
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo
from PIL import Image

from fitgap.images import preparation
from fitgap.images.decoding import UnusableError, decode
from fitgap.images.sources import directory
from fitgap.params.sections import Data
from fitgap.system.errors import UserError

SIZE = 32
RED, GREEN = (200, 30, 40), (20, 180, 60)


def data(**changes) -> Data:
    given = {"source": "directory", "path": "pictures", "image_size": SIZE, "train_images": 4, "validation_images": 4}
    given |= {
        "pool_images": 8,
        "test_images": "all",
        "split_seed": 0,
        "max_bad_fraction": 0.0,
        "near_duplicates": "warn",
        "split_folders": "by_name",
    }
    return Data(**given | changes)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode: str = "RGB", colour=RED, size=(40, 40)) -> Image.Image:
    return Image.new(mode, size, colour)


def noise(seed: int) -> bytes:
    return encoded(Image.fromarray(np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), np.uint8)))


def halves(top=RED, bottom=GREEN, size=(40, 40)) -> Image.Image:
    image = plain(colour=top, size=size)
    image.paste(bottom, (0, size[1] // 2, size[0], size[1]))
    return image


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3  # lies upside down
    return encoded(halves(), "JPEG", exif=exif, quality=95)


def rotated_with_a_broken_tag() -> bytes:
    """Add a rational whose denominator is 0 to the EXIF tags; Pillow cannot write such a tag again."""
    tags = struct.pack(">HHHIHH", 2, 0x0112, 3, 1, 3, 0) + struct.pack(">HHII", 0x011A, 10, 1, 38)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + tags + struct.pack(">I", 0) + struct.pack(">ii", -1, 0)
    return encoded(halves(), "JPEG", exif=exif, quality=95)


def with_chunk(png: bytes, kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """Return a PNG with another chunk after its header, which is 33 bytes long with the signature."""
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return png[:33] + struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum) + png[33:]


def animated() -> bytes:
    return encoded(plain(), "GIF", save_all=True, append_images=[plain(colour=GREEN)])


def palette(transparent: bool = False) -> bytes:
    image = plain().quantize(4)
    return encoded(image, transparency=image.getpixel((0, 0))) if transparent else encoded(image)


def sixteen(level: int, kind: str = "PNG") -> bytes:
    return encoded(Image.fromarray(np.full((40, 40), level, np.uint16)), kind)


def bomb(side: int = 60_000) -> bytes:
    """A PNG of a few bytes that claims 3.6 thousand million pixels."""
    png = bytearray(encoded(plain("L", 0, (1, 1))))
    png[16:24] = struct.pack(">II", side, side)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def truncated(kind: str) -> bytes:
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), kind)
    return whole[: len(whole) // 2]


# name -> (bytes, colour of the middle of the picture: exact within a few levels)
READ = {
    "rgb.png": (encoded(plain()), RED),
    "rgb.jpg": (encoded(plain(), "JPEG", quality=95), RED),
    "rgb.webp": (encoded(plain(), "WEBP", lossless=True), RED),
    "rgb.bmp": (encoded(plain(), "BMP"), RED),
    "rgb.tiff": (encoded(plain(), "TIFF"), RED),
    "lzw.tif": (encoded(plain(), "TIFF", compression="tiff_lzw"), RED),
    "first frame.gif": (animated(), RED),
    "progressive.jpg": (encoded(plain(), "JPEG", quality=95, progressive=True), RED),
    "grey.png": (encoded(plain("L", 77)), (77,) * 3),
    "grey.jpg": (encoded(plain("L", 77), "JPEG"), (77,) * 3),
    "black and white.png": (encoded(plain("1", 1)), (255,) * 3),
    "palette.png": (palette(), RED),
    "palette, transparent.png": (palette(True), (255,) * 3),
    "alpha, half.png": (encoded(plain("RGBA", (0, 0, 0, 127))), (128,) * 3),
    "alpha, none left.png": (encoded(plain("RGBA", (*RED, 0))), (255,) * 3),
    "alpha, whole.png": (encoded(plain("RGBA", (*RED, 255))), RED),
    "grey, alpha.png": (encoded(plain("LA", (77, 255))), (77,) * 3),
    "cmyk.jpg": (encoded(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), (254, 0, 0)),
    "cmyk.tiff": (encoded(plain("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    "ycbcr.jpg": (encoded(plain().convert("YCbCr"), "JPEG", quality=95), RED),
    "lab.tiff": (encoded(plain("LAB", (255, 128, 128)), "TIFF"), (255,) * 3),
    "16 bit, white.png": (sixteen(65535), (255,) * 3),
    "16 bit, grey.png": (sixteen(77 * 257), (77,) * 3),
    "16 bit.tiff": (sixteen(77 * 257, "TIFF"), (77,) * 3),
    "one pixel.png": (encoded(plain(size=(1, 1))), RED),
    "wide.png": (encoded(plain(size=(400, 20))), RED),
    "named png, is jpeg.png": (encoded(plain(), "JPEG", quality=95), RED),
    "no ending": (encoded(plain()), RED),
    "ENDING.JPG": (encoded(plain(), "JPEG", quality=95), RED),
    "av1.avif": (encoded(plain(), "AVIF", quality=95), RED),
    "wavelets.jp2": (encoded(plain(), "JPEG2000"), RED),
    "portable.ppm": (encoded(plain(), "PPM"), RED),
    "portable, 10 bit.pgm": (b"P5 4 4 1023\n" + (77 * 4).to_bytes(2, "big") * 16, (77,) * 3),
    "broken eXIf.png": (with_chunk(encoded(plain()), b"eXIf", b"nonsense"), RED),
    "long text.png": (with_chunk(encoded(plain()), b"zTXt", b"Note\0\0" + zlib.compress(bytes(3_000_000))), RED),
    "long profile.png": (with_chunk(encoded(plain()), b"iCCP", b"p\0\0" + zlib.compress(bytes(1_500_000))), RED),
    "broken profile.png": (with_chunk(encoded(plain()), b"iCCP", b"p\0\0nonsense"), RED),
    "text with a wrong checksum.png": (with_chunk(encoded(plain()), b"tEXt", b"a\0b", checksum=7), RED),
    "broken EXIF.jpg": (encoded(plain(), "JPEG", quality=95, exif=b"Exif\0\0nonsense"), RED),
}


@pytest.mark.parametrize("name", READ)
def test_picture_is_read_as_people_expect(name):
    content, colour = READ[name]
    pixels = decode(content, SIZE)
    assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)
    np.testing.assert_allclose(pixels[SIZE // 2, SIZE // 2].astype(int), colour, atol=4)


@pytest.mark.parametrize("content", [rotated(), rotated_with_a_broken_tag()], ids=["whole", "another tag is broken"])
def test_camera_rotation_is_applied(content):
    pixels = decode(content, SIZE).astype(int)
    np.testing.assert_allclose(pixels[4, 16], GREEN, atol=12)
    np.testing.assert_allclose(pixels[-5, 16], RED, atol=12)


def test_shrinking_does_not_alias():
    """Stripes one pixel wide become an even grey, not stripes of another width."""
    stripes = np.tile(np.array([0, 255], np.uint8), (320, 160))
    assert np.ptp(decode(encoded(Image.fromarray(stripes)), SIZE)[4:-4, 4:-4].astype(int)) < 10


# name -> (bytes, what the reason must say)
UNUSABLE = {
    "empty.jpg": (b"", "empty file"),
    "text.jpg": (b"this is no picture", "not a picture"),
    "notes.txt": (b"cat", "not a picture"),
    "program.png": (b"\x7fELF" + bytes(200), "not a picture"),
    "page.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "pip install pillow-heif"),
    "truncated.jpg": (truncated("JPEG"), "damaged"),
    "truncated.png": (truncated("PNG"), "damaged"),
    "truncated.webp": (truncated("WEBP"), "not a picture|damaged"),
    "truncated.bmp": (truncated("BMP"), "damaged"),
    "truncated.tiff": (truncated("TIFF"), "not a picture|damaged"),
    "head only.jpg": (encoded(plain(), "JPEG")[:30], "not a picture|damaged"),
    "bomb.png": (bomb(), "enormous"),
    "below twice the limit.png": (bomb(11_000), "enormous"),
    "floating.tiff": (encoded(plain("F", 0.5), "TIFF"), "floating-point"),
    "32 bit.tiff": (encoded(plain("I", 70_000), "TIFF"), "32-bit"),
    "postscript.eps": (encoded(plain(), "EPS"), "not a picture"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_file_is_named_with_its_reason(name):
    content, reason = UNUSABLE[name]
    with pytest.raises(UnusableError, match=reason):
        decode(content, SIZE)


def tree(**changes: bytes | None) -> dict[str, bytes]:
    """Two classes of eight pictures each, and whatever else; None takes a file away."""
    files = {f"{name}/{i}.png": noise(100 * label + i) for label, name in enumerate(("cat", "dog")) for i in range(8)}
    return {name: content for name, content in (files | changes).items() if content is not None}


def under(top: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{top}/{name}": content for name, content in files.items()}


def written(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if content == b"FOLDER":
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
    return folder


def prepared(path: Path, folder: Path, **changes) -> tuple[dict, list[str], pd.DataFrame]:
    chosen = data(path=str(path), **changes)
    folder.mkdir()
    about, warnings = preparation.prepare(directory.load(path, SIZE, chosen.split_folders), chosen, folder)
    return about, warnings, pd.read_csv(folder / "manifest.csv")


def split(*names: str, classes=("cat", "dog")) -> dict[str, bytes]:
    """Return different pictures of two classes in each of these folders."""
    return {
        f"{name}/{label}/{i}.png": noise(1000 * j + 100 * k + i)
        for j, name in enumerate(names) for k, label in enumerate(classes) for i in range(8)
    }  # fmt: skip


ONE_SPLIT = {"pool_images": "all"}  # the test images are in a folder of their own
TREES = {
    "plain": (tree(), {}, 16),
    "hidden files": (tree(**{".hidden/x.png": b"", "cat/.DS_Store": b"x", "dog/._1.png": b"x"}), {}, 16),
    "droppings": (tree(**{"Thumbs.db": b"x", "cat/desktop.ini": b"x", "__MACOSX/cat/1.png": b"x"}), {}, 16),
    "readme beside the classes": (tree(**{"README.md": b"x", "labels.csv": b"x"}), {}, 16),
    "a folder around": (under("mine", tree()), {}, 16),
    "two folders around": (under("a/b", tree()), {}, 16),
    "folders inside a class": (tree(**{"cat/2019/may/a.png": noise(900), "cat/2020/a.png": noise(901)}), {}, 18),
    "train and test": (under("train", tree()) | under("test", _ := {k: noise(500 + i) for i, k in enumerate(tree())}),
                       ONE_SPLIT, 32),
    "all three": ({f"{s}/{k}": noise(1000 * j + i) for j, s in enumerate(("train", "val", "test"))
                   for i, k in enumerate(tree())},
                  {"pool_images": "all", "train_images": "all", "validation_images": "all"}, 48),
    "capital letters": ({f"{s}/{k}": noise(1000 * j + i) for j, s in enumerate(("Train", "TEST"))
                         for i, k in enumerate(tree())}, ONE_SPLIT, 32),
    "around train and test": ({f"set/{s}/{k}": noise(1000 * j + i) for j, s in enumerate(("train", "test"))
                               for i, k in enumerate(tree())}, ONE_SPLIT, 32),
    "sets": (split("training_set", "test_set"), ONE_SPLIT, 32),
    "each split inside itself": (split("training_set/training_set", "test_set/test_set"), ONE_SPLIT, 32),
    "a prefix": (split("seg_train/seg_train", "seg_test/seg_test"), ONE_SPLIT, 32),
    "images of a split": (split("train-images", "Test Images"), ONE_SPLIT, 32),
    "short for development": (split("x/train", "x/dev", "x/test"),
                              {"pool_images": "all", "train_images": "all", "validation_images": "all"}, 48),
    "files beside the folder around": (under("PetImages", tree()) | {"readme.txt": b"x", "MSR-LA.docx": b"x"}, {}, 16),
    "classes that only begin like splits": (split("trains", "testament", classes=("a",)) | {}, {}, 16),
    "a class called train": ({k.replace("cat", "train"): v for k, v in tree().items()}, {}, 16),
    "splits are classes": (split("train", "test"), {"split_folders": "none"}, 32),
    "names with <, & and spaces": ({k.replace("cat", "<b>a & b</b> c".replace("/", "")): v for k, v in tree().items()},
                                   {}, 16),
    "unicode": ({k.replace("cat", "猫").replace("dog", "chien né"): v for k, v in tree().items()}, {}, 16),
    "fewer asked for": (tree(), {"test_images": 4}, 12),
    "an exact copy": (tree(**{"cat/copy.png": noise(3)}), {}, 17),
    "one bad of seventeen, allowed": (tree(**{"cat/bad.png": b"x"}), {"max_bad_fraction": 0.1}, 16),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz", "tar.xz", "tar"])
@pytest.mark.parametrize("name", TREES)
def test_tree_is_read(name, kind, tmp_path):
    files, changes, images = TREES[name]
    if kind not in ("folder", "zip") and name not in ("plain", "around train and test", "unicode", "hidden files"):
        pytest.skip("every tree as a folder and as a .zip, four of them as .tar too")
    path = written(files, tmp_path / "pictures") if kind == "folder" else packed(files, tmp_path / f"p.{kind}")
    _, _, manifest = prepared(path, tmp_path / "prepared", **changes)
    assert len(manifest) == images
    has_validation = name in ("all three", "short for development")
    assert set(manifest["part"]) == {"pool", "test"} | ({"validation"} if has_validation else set())
    assert manifest["class"].nunique() == 2
    assert (manifest.groupby("sha256")["part"].nunique() == 1).all()


def packed(files: dict[str, bytes], path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_folder_and_archives_give_the_same_bytes(tmp_path):
    shuffled = dict(sorted(tree().items(), reverse=True))
    paths = [written(tree(), tmp_path / "pictures"), *(packed(shuffled, tmp_path / f"p.{k}") for k in ("zip", "tar"))]
    for i, path in enumerate(paths):
        prepared(path, tmp_path / str(i))
    for file in ("images.npy", "labels.npy", "manifest.csv"):
        assert len({(tmp_path / str(i) / file).read_bytes() for i in range(3)}) == 1


def one_class() -> dict[str, bytes]:
    return {name: content for name, content in tree().items() if name.startswith("cat")}


# name -> (files, changes of params, what the line must say)
REFUSED = {
    "nothing there": (None, {}, "not found"),
    "empty folder": ({}, {}, "no class folders"),
    "loose pictures only": ({"1.png": noise(1)}, {}, "no class folders"),
    "one class": (one_class(), {}, "only the class 'cat'"),
    "empty class": (tree(**{"fox": b"FOLDER"}), {}, "fox/ holds no picture"),
    "class without pictures of its own": (tree(**{"fox/.keep": b""}), {}, "fox/ holds no picture"),
    "same name but for case": (tree(**{"Cat/1.png": noise(1)}), {}, "'Cat' and 'cat' differ only in case"),
    "same name but for ligature": (tree(**{"ﬁsh/1.png": noise(1), "fish/2.png": noise(2)}), {}, "Unicode form"),
    "validation twice": (under("train", tree()) | under("val", tree()) | under("valid", tree()), {}, "val and valid"),
    "test without train": (under("test", tree()) | under("val", tree()), {}, "no train/"),
    "splits without classes": ({k.replace("cat", "train").replace("dog", "test"): v for k, v in tree().items()}, {},
                               "train/|test/"),
    "a split without classes": (split("train", "validation") | {f"test/{i}.png": noise(i) for i in range(9)}, {},
                                "test/ holds pictures outside of class folders"),
    "an unknown folder beside splits": (split("seg_train", "seg_test") | {"seg_pred/1.png": noise(1)}, {},
                                        "seg_pred beside it is not"),
    "a class beside a split": (split("train") | {"cat/1.png": noise(1)}, {}, "cat beside it is not"),
    "folds": (split("fold_1", "fold_2", "fold_3"), {}, "fold_1, fold_2, fold_3: folds of a cross-validation"),
    "class missing in test": (under("train", tree()) | under("test", one_class()), {}, "no test/dog/"),
    "one bad file": (tree(**{"cat/bad.jpg": b"x"}), {}, r"cat/bad.jpg \(not a picture"),
    "a picture beside the classes": (tree(**{"stray.png": noise(5)}), {}, r"stray.png \(not inside"),
    "too many bad files": (tree(**{f"cat/b{i}.png": b"" for i in range(9)}), {"max_bad_fraction": 0.3}, "9 of 25"),
    "too many images wanted": (tree(), {"pool_images": 15}, "at most 14"),
    "too many images drawn": (tree(), {"train_images": 5}, r"data.validation_images: 5 \+ 4: at most 8"),
    "two want all": (tree(), {"pool_images": "all"}, "only one of them can have all"),
    "two draw all": (tree(), {"train_images": "all", "validation_images": "all"}, "only one of them can have all"),
    "fewer than classes": (tree(), {"train_images": 1}, "data.train_images: 1: at least 2"),
    "class too small": ({**{f"cat/{i}.png": noise(i) for i in range(30)}, "dog/1.png": noise(99)}, {}, "class 'dog'"),
    "near duplicates, refused": (
        {**{f"{c}/{i}.png": encoded(Image.new("RGB", (SIZE, SIZE), (i, 9 * i, n))) for n, c in enumerate("ab")
            for i in range(8)}}, {"near_duplicates": "fail"}, "look like one that may stand in another split"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_tree_that_cannot_be_used_gets_one_line_and_leaves_nothing(name, tmp_path):
    files, changes, said = REFUSED[name]
    path = tmp_path / "pictures"
    if files is not None:
        path.mkdir()
        written(files, path)
    with pytest.raises(UserError, match=said) as raised:
        prepared(path, tmp_path / "prepared", **changes)
    assert "\n" not in str(raised.value)


def zip_with(name: str, path: Path) -> Path:
    return packed(tree() | {name: noise(1)}, path / "p.zip")


def encrypted(path: Path) -> Path:
    """Say in both headers of the first file that it is encrypted, as a reader would find it."""
    whole = bytearray(packed(tree(), path / "p.zip").read_bytes())
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    (path / "p.zip").write_bytes(whole)
    return path / "p.zip"


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def flipped(path: Path) -> Path:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 0xFF
    path.write_bytes(whole)
    return path


def linked(path: Path) -> Path:
    packed(tree(), path / "p.tar")
    with tarfile.open(path / "p.tar", "a") as archive:
        member = tarfile.TarInfo("cat/link.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    return path / "p.tar"


def renamed(path: Path, name: bytes) -> Path:
    """Return a .zip whose class cat has a name in another encoding, without the flag for UTF-8."""
    placeholder = "c" * len(name)
    files = {inner.replace("cat", placeholder): content for inner, content in tree().items()}
    archive = packed(files, path / "p.zip")
    archive.write_bytes(archive.read_bytes().replace(placeholder.encode() + b"/", name + b"/"))
    return archive


def latin(path: Path) -> Path:
    """Return a .tar with a name in Latin-1."""
    with tarfile.open(path / "p.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in (tree() | {"cat/caf\udce9.png": noise(7)}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path / "p.tar"


ARCHIVES = {
    "zip with Korean names in CP949": (lambda path: renamed(path, "고양이".encode("cp949")), "is not UTF-8"),
    "tar with a name in Latin-1": (latin, r"'cat/caf\\udce9.png' is not UTF-8"),
    "zip leads out": (lambda path: zip_with("../../evil.png", path), "leads out of the archive"),
    "zip leads to the root": (lambda path: zip_with("/etc/evil.png", path), "leads out of the archive"),
    "zip leads out, Windows' way": (lambda path: zip_with("..\\evil.png", path), "leads out of the archive"),
    "zip leads to a drive": (lambda path: zip_with("C:\\evil.png", path), "leads out of the archive"),
    "tar leads out": (lambda path: packed(tree() | {"../evil.png": noise(1)}, path / "p.tar"), "leads out"),
    "tar holds a link": (linked, r"cat/link.png \(a link or device"),
    "zip encrypted": (encrypted, r"\(encrypted\)"),
    "zip cut off": (lambda path: cut(packed(tree(), path / "p.zip"), 0.5), "neither a folder nor a whole"),
    "tar.gz cut off": (lambda path: cut(packed(tree(), path / "p.tar.gz"), 0.5), "damaged archive"),
    "tar.xz cut off": (lambda path: cut(packed(tree(), path / "p.tar.xz"), 0.5), "damaged archive"),
    "zip with a flipped byte": (lambda path: flipped(packed(tree(), path / "p.zip")), "damaged"),
    "not an archive": (lambda path: written({"p.zip": b"hello"}, path) / "p.zip", "neither a folder nor"),
    "empty file": (lambda path: written({"p.tar": b""}, path) / "p.tar", "neither a folder nor"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archive_that_cannot_be_used_gets_one_line(name, tmp_path):
    make, said = ARCHIVES[name]
    before = {path for path in tmp_path.parent.iterdir()}
    with pytest.raises(UserError, match=said) as raised:
        prepared(make(tmp_path), tmp_path / "prepared")
    assert "\n" not in str(raised.value)
    assert {path for path in tmp_path.parent.iterdir()} == before


def test_decomposed_and_composed_names_are_one_class(tmp_path):
    files = {}
    for i in range(8):
        form = unicodedata.normalize("NFD" if i % 2 else "NFC", "né")
        files |= {f"{form}/{i}.png": noise(i), f"chat/{i}.png": noise(100 + i)}
    _, _, manifest = prepared(packed(files, tmp_path / "p.zip"), tmp_path / "prepared")
    assert set(manifest["class"]) == {"né", "chat"}


def test_names_in_utf8_are_read_without_the_flag(tmp_path):
    path = renamed(tmp_path, "고양이".encode())
    _, _, manifest = prepared(path, tmp_path / "prepared")
    assert set(manifest["class"]) == {"고양이", "dog"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_file_whose_name_is_not_utf8_is_named(tmp_path):
    path = written(tree(), tmp_path / "pictures")
    Path(os.fsdecode(bytes(path) + b"/cat/caf\xe9.png")).write_bytes(noise(7))
    with pytest.raises(UserError, match=r"'cat/caf\\udce9.png' is not UTF-8"):
        prepared(path, tmp_path / "prepared")


def test_a_link_to_an_enclosing_folder_holds_nothing_new(tmp_path):
    path = written(tree(), tmp_path / "pictures")
    (path / "cat/round").symlink_to(path / "cat")
    (path / "dog/up").symlink_to("..")
    _, _, manifest = prepared(path, tmp_path / "prepared")
    assert len(manifest) == 16


def test_pictures_may_be_links_and_so_may_the_whole_folder(tmp_path):
    path = written(tree(), tmp_path / "disk")
    (path / "cat/linked.png").symlink_to(written({"elsewhere.png": noise(99)}, tmp_path) / "elsewhere.png")
    (tmp_path / "pictures").symlink_to(path)
    _, _, manifest = prepared(tmp_path / "pictures", tmp_path / "prepared")
    assert len(manifest) == 17


@pytest.mark.parametrize("place", ["cat/disk", "bird", "cat/2019/more"])
def test_a_link_to_another_folder_which_dvc_does_not_follow_is_named(place, tmp_path):
    path = written(tree(**{"cat/2019/a.png": noise(98)}), tmp_path / "pictures")
    (path / place).symlink_to(written({f"{i}.png": noise(90 + i) for i in range(8)}, tmp_path / "disk"))
    with pytest.raises(UserError, match=f"{place}: a link to the folder .*disk; DVC does not follow it"):
        prepared(path, tmp_path / "prepared")


def test_a_pipe_which_dvc_would_wait_for_is_named(tmp_path):
    path = written(tree(), tmp_path / "pictures")
    os.mkfifo(path / "cat/pipe.png")
    with pytest.raises(UserError, match=r"cat/pipe.png: a pipe, socket or device"):
        prepared(path, tmp_path / "prepared")


UNSEEN = {
    "a DVC repository in a class": ("cat/more/.dvc/config", b"", "cat/more/1.png"),
    "a line in .dvcignore": (".dvcignore", b"*.webp\n", "cat/1.webp"),
    "a .dvcignore in a class": ("cat/.dvcignore", b"/1.png\n", "cat/1.png"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_a_picture_that_dvc_does_not_see_is_named(name, tmp_path, monkeypatch):
    hiding, content, hidden = UNSEEN[name]
    path = written(tree(**{hidden: noise(1), hiding: content}), tmp_path / "pictures")
    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"{hidden}: DVC does not see this file"):
        prepared(path, tmp_path / "prepared")


def test_tar_with_hard_links_is_read(tmp_path):
    path = packed(tree(), tmp_path / "p.tar.gz")
    contents = tree()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            link = tarfile.TarInfo(name.replace(".png", " again.png"))
            link.type, link.linkname = tarfile.LNKTYPE, name
            archive.addfile(link)
    _, _, manifest = prepared(path, tmp_path / "prepared")
    assert len(manifest) == 32
    assert manifest["sha256"].nunique() == 16


def test_pictures_of_twelve_bits_in_sixteen_are_warned_of(tmp_path):
    path = written(tree(**{"cat/camera.png": sixteen(4095)}), tmp_path / "pictures")
    _, warnings, _ = prepared(path, tmp_path / "prepared")
    assert any("1 images are almost black, such as cat/camera.png: if they have 16 bits" in line for line in warnings)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_named(tmp_path):
    path = written(tree(), tmp_path / "pictures")
    (path / "cat/1.png").chmod(0)
    with pytest.raises(UserError, match="not readable"):
        prepared(path, tmp_path / "prepared")


def test_official_test_images_stay_and_their_copies_leave_the_training(tmp_path):
    test = {k: noise(500 + i) for i, k in enumerate(tree())}
    files = under("train", tree(**{"cat/copy.png": test["cat/3.png"]})) | under("test", test)
    about, _, manifest = prepared(written(files, tmp_path / "pictures"), tmp_path / "prepared", **ONE_SPLIT)
    assert set(manifest["name"][manifest["part"] == "test"]) == set(under("test", test))
    assert about["left_out"] == 1
    assert "train/cat/copy.png" not in set(manifest["name"])


def test_bad_files_that_are_allowed_are_counted_and_listed(tmp_path):
    path = written(tree(**{"cat/bad.png": b"x", "dog/empty.gif": b""}), tmp_path / "pictures")
    about, warnings, _ = prepared(path, tmp_path / "prepared", max_bad_fraction=0.2)
    listed = pd.read_csv(tmp_path / "prepared/unusable.csv")
    assert about["unusable_files"] == 2
    assert listed["name"].tolist() == ["cat/bad.png", "dog/empty.gif"]
    assert any("2 files cannot be used" in line for line in warnings)


def test_a_class_that_is_called_like_a_split_is_warned_of(tmp_path):
    files = {name.replace("cat", "train"): content for name, content in tree().items()}
    _, warnings, _ = prepared(written(files, tmp_path / "pictures"), tmp_path / "prepared")
    assert any("train/ is read as a class, although it is named like a split" in line for line in warnings)


def test_near_duplicates_are_listed_and_warned_of(tmp_path):
    smooth = Image.fromarray(np.random.default_rng(7).integers(0, 255, (9, 8, 3), np.uint8)).resize((SIZE, SIZE))
    alike = {f"cat/alike{i}.png": encoded(Image.eval(smooth, lambda level, i=i: min(level + i, 255))) for i in range(6)}
    path = written(tree(**alike), tmp_path / "pictures")
    about, warnings, manifest = prepared(path, tmp_path / "prepared")
    listed = pd.read_csv(tmp_path / "prepared/near_duplicates.csv")
    assert about["near_duplicates"] == len(listed) > 0
    parts = manifest.set_index("name")["part"]
    own, other = (parts[listed[column]].to_numpy() for column in ("name", "like_name"))
    assert (listed["part"].tolist(), listed["like_part"].tolist()) == (own.tolist(), other.tolist())
    assert ((own != other) | (own == "pool")).all()
    assert any("look like one that may stand in another split" in line for line in warnings)


def test_image_in_two_classes_is_warned_of(tmp_path):
    path = written(tree(**{"dog/also.png": noise(3)}), tmp_path / "pictures")
    _, warnings, _ = prepared(path, tmp_path / "prepared")
    assert any("1 images are in two classes" in line for line in warnings)


def test_full_disk_is_noticed_before_the_work(tmp_path, monkeypatch):
    path = written(tree(), tmp_path / "pictures")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    monkeypatch.setattr(directory, "decode_tree", lambda *_: pytest.fail("decoding began"))
    with pytest.raises(UserError, match=r"16 images need 0 MB of disk, and 0 MB are free"):
        prepared(path, tmp_path / "prepared")
