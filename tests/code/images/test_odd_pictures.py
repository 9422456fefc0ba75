"""Odd and broken pictures, folders and archives: each with what becomes of it."""

import io
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fitgap.images import preparation
from fitgap.images.decoding import UnusableError, decode
from fitgap.images.sources import directory
from fitgap.params.sections import Data
from fitgap.system.errors import UserError

SIZE = 32
RED, GREEN = (200, 30, 40), (20, 180, 60)


def data(**changes) -> Data:
    values = {"source": "directory", "image_size": SIZE, "split_seed": 0, "split_folders": "by_name"}
    values |= {"train_images": 4, "validation_images": 4, "pool_images": 8, "test_images": "all"}
    return Data(**{**values, "max_bad_fraction": 0.0, "near_duplicates": "warn", **changes})


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode: str = "RGB", colour=RED, size=(40, 40)) -> Image.Image:
    return Image.new(mode, size, colour)


def noise(seed: int) -> bytes:
    return encoded(Image.fromarray(np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), np.uint8)))


def halves() -> Image.Image:
    image = plain()
    image.paste(GREEN, (0, 20, 40, 40))
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


def animated() -> bytes:
    return encoded(plain(), "GIF", save_all=True, append_images=[plain(colour=GREEN)])


def palette() -> bytes:
    image = plain().quantize(4)
    return encoded(image, transparency=image.getpixel((0, 0)))


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
    "lzw.tif": (encoded(plain(), "TIFF", compression="tiff_lzw"), RED),
    "av1.avif": (encoded(plain(), "AVIF", quality=95), RED),
    "first frame.gif": (animated(), RED),
    "black and white.png": (encoded(plain("1", 1)), (255,) * 3),
    "palette, transparent.png": (palette(), (255,) * 3),
    "alpha, half.png": (encoded(plain("RGBA", (0, 0, 0, 127))), (128,) * 3),
    "grey, alpha.png": (encoded(plain("LA", (77, 255))), (77,) * 3),
    "cmyk.jpg": (encoded(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), (254, 0, 0)),
    "16 bit, white.png": (sixteen(65535), (255,) * 3),
    "16 bit.tiff": (sixteen(77 * 257, "TIFF"), (77,) * 3),
    "portable, 10 bit.pgm": (b"P5 4 4 1023\n" + (77 * 4).to_bytes(2, "big") * 16, (77,) * 3),
    "wide, named png, is jpeg.png": (encoded(plain(size=(400, 20)), "JPEG", quality=95), RED),
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
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "pip install pillow-heif"),
    "truncated.jpg": (truncated("JPEG"), "damaged"),
    "truncated.webp": (truncated("WEBP"), "not a picture|damaged"),
    "bomb.png": (bomb(), "enormous"),
    "below twice the limit.png": (bomb(11_000), "enormous"),
    "floating.tiff": (encoded(plain("F", 0.5), "TIFF"), "floating-point"),
    "32 bit.tiff": (encoded(plain("I", 70_000), "TIFF"), "32-bit"),
    "postscript.eps": (encoded(plain(), "EPS"), "not a picture"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_file_is_named_with_its_reason(name):
    content, reason = UNUSABLE[name]
    with pytest.raises(UnusableError, match=reason):
        decode(content, SIZE)


def split(*names: str, classes=("cat", "dog")) -> dict[str, bytes]:
    """Return eight different pictures of each class in each of these folders."""
    places = [f"{name}/{label}".removeprefix("/") for name in names for label in classes]
    return {f"{place}/{i}.png": noise(100 * number + i) for number, place in enumerate(places) for i in range(8)}


def tree(**others: bytes) -> dict[str, bytes]:
    """Return two classes of eight pictures each, and whatever else."""
    return split("") | others


def written(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)
    return folder


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


def prepared(path: Path, folder: Path, **changes) -> tuple[dict, list[str], pd.DataFrame]:
    chosen = data(path=str(path), **changes)
    folder.mkdir()
    about, warnings = preparation.prepare(directory.load(path, SIZE, chosen.split_folders), chosen, folder)
    return about, warnings, pd.read_csv(folder / "manifest.csv")


ONE_SPLIT = {"pool_images": "all"}  # the test images are in a folder of their own
ALL = {"pool_images": "all", "train_images": "all", "validation_images": "all"}
UNICODE = split("", classes=("猫", "chien né"))
# name -> (files, changes of params, number of images)
TREES = {
    "plain": (tree(), {}, 16),
    "hidden files": (tree(**{".hidden/x.png": b"", "cat/.DS_Store": b"x", "dog/._1.png": b"x"}), {}, 16),
    "files of systems": (tree(**{"cat/Thumbs.db": b"x", "desktop.ini": b"x", "__MACOSX/cat/1.png": b"x"}), {}, 16),
    "two folders around, and a readme": (split("a/b") | {"readme.txt": b"x", "a/MSR-LA.docx": b"x"}, {}, 16),
    "folders inside a class": (tree(**{"cat/2019/may/a.png": noise(900), "cat/2020/a.png": noise(901)}), {}, 18),
    "a class of folders only": (tree(**{f"fox/{i}/a.png": noise(900 + i) for i in range(8)}), {"pool_images": 9}, 24),
    "train and test": (split("train", "test"), ONE_SPLIT, 32),
    "all three": (split("train", "val", "test"), ALL, 48),
    "around them, short for development": (split("x/Train", "x/dev", "x/TEST"), ALL, 48),
    "each split inside itself": (split("seg_train/seg_train", "seg_test/seg_test"), ONE_SPLIT, 32),
    "images of a split": (split("train-images", "Test Images"), ONE_SPLIT, 32),
    "classes called like splits": (split("", classes=("train", "bus", "valley")), {"pool_images": 9}, 24),
    "splits are classes": (split("train", "test"), {"split_folders": "none"}, 32),
    "unicode": (UNICODE, {}, 16),
    "an exact copy": (tree(**{"cat/copy.png": noise(3)}), {}, 17),
    "one bad of seventeen, allowed": (tree(**{"cat/bad.png": b"x"}), {"max_bad_fraction": 0.1}, 16),
}


@pytest.mark.parametrize("name", TREES)
def test_folder_is_read(name, tmp_path):
    files, changes, images = TREES[name]
    _, _, manifest = prepared(written(files, tmp_path / "pictures"), tmp_path / "prepared", **changes)
    assert len(manifest) == images
    assert set(manifest["part"]) == {"pool", "test"} | ({"validation"} if changes is ALL else set())
    assert manifest["class"].nunique() == (3 if images == 24 else 2)
    assert (manifest.groupby("sha256")["part"].nunique() == 1).all()


@pytest.mark.parametrize("files", [tree(), split("set/train", "set/test"), UNICODE], ids=["plain", "splits", "unicode"])
def test_folder_and_archives_give_the_same_bytes_and_leave_nothing(files, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    shuffled, kinds = dict(sorted(files.items(), reverse=True)), ("zip", "tar", "tar.gz", "tar.xz")
    changes = ONE_SPLIT if "set/train/cat/0.png" in files else {}
    paths = [written(files, tmp_path / "pictures"), *(packed(shuffled, tmp_path / f"p.{kind}") for kind in kinds)]
    for i, path in enumerate(paths):
        prepared(path, tmp_path / str(i), **changes)
    for file in ("images.npy", "labels.npy", "manifest.csv"):
        assert len({(tmp_path / str(i) / file).read_bytes() for i in range(len(paths))}) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


ONE_CLASS = {name: content for name, content in tree().items() if name.startswith("cat")}
ALIKE = {f"{name}/{i}.png": encoded(plain(colour=(i, 9 * i, ord(name)))) for name in "ab" for i in range(8)}
# name -> (files, changes of params, what the line must say)
REFUSED = {
    "nothing there": (None, {}, "not found"),
    "empty folder": ({}, {}, "no class folders"),
    "loose pictures only": ({"1.png": noise(1)}, {}, "no class folders"),
    "one class": (ONE_CLASS, {}, "only the class 'cat'"),
    "empty class": (tree(**{"fox/": b"", "fox/.keep": b""}), {}, "fox/ holds no picture"),
    "validation twice": (split("train", "val", "valid"), {}, "holds the splits train, val, valid; needed"),
    "splits without classes": (split("", classes=("train", "test")), {}, "test/ is neither a class folder"),
    "a split without classes": (split("train", "val") | {"test/1.png": noise(9)}, {}, "test/ is neither a class"),
    "an unknown folder beside splits": (split("seg_train", "seg_test") | {"seg_pred/1.png": noise(1)}, {}, "seg_pred/"),
    "years above the classes": (split("2023", "2024"), {}, "2023/ is neither .*none makes 2023, 2024 the classes"),
    "class missing in test": (split("train") | split("test", classes=("cat",)), {}, "no test/dog/"),
    "one bad file": (tree(**{"cat/bad.jpg": b"x"}), {}, r"cat/bad.jpg \(not a picture"),
    "a picture beside the classes": (tree(**{"stray.png": noise(5)}), {}, r"stray.png \(not inside"),
    "too many bad files": (tree(**{f"cat/b{i}.png": b"" for i in range(9)}), {"max_bad_fraction": 0.3}, "9 of 25"),
    "too many images drawn": (tree(), {"train_images": 5}, r"data.validation_images: 5 \+ 4: at most 8"),
    "near duplicates, refused": (ALIKE, {"near_duplicates": "fail"}, "look like one that may stand in another split"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_folder_that_cannot_be_used_gets_one_line(name, tmp_path):
    files, changes, said = REFUSED[name]
    if files is not None:
        (tmp_path / "pictures").mkdir()
        written(files, tmp_path / "pictures")
    with pytest.raises(UserError, match=said) as raised:
        prepared(tmp_path / "pictures", tmp_path / "prepared", **changes)
    assert "\n" not in str(raised.value)


def patched(path: Path, marks: dict[int, int]) -> Path:
    """Return a .zip with other bytes in the first file's two headers: by their place in the local one."""
    whole = bytearray(packed(tree(), path / "p.zip").read_bytes())
    central = whole.index(b"PK\x01\x02") + 2
    for place, byte in marks.items():
        whole[place] = whole[central + place] = byte
    (path / "p.zip").write_bytes(whole)
    return path / "p.zip"


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
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
    archive = packed({inner.replace("cat", placeholder): content for inner, content in tree().items()}, path / "p.zip")
    archive.write_bytes(archive.read_bytes().replace(placeholder.encode() + b"/", name + b"/"))
    return archive


def latin(path: Path) -> Path:
    with tarfile.open(path / "p.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("cat/caf\udce9.png"))
    return path / "p.tar"


ARCHIVES = {
    "zip with Korean names in CP949": (lambda path: renamed(path, "고양이".encode("cp949")), "are not UTF-8"),
    "tar with a name in Latin-1": (latin, r"'cat/caf\\udce9.png' is not UTF-8"),
    "zip leads out": (lambda path: packed(tree(**{"../../evil.png": b"x"}), path / "p.zip"), r"evil.png \(not inside"),
    "tar leads out": (lambda path: packed(tree(**{"../evil.png": b"x"}), path / "p.tar"), "outside the destination"),
    "tar holds a link out of it": (linked, "link.png' is a link to an absolute path"),
    "zip encrypted": (lambda path: patched(path, {6: 1}), "is encrypted, password required.*; pack it anew as a plain"),
    "zip with Deflate64": (
        lambda path: patched(path, {8: 9}),
        "compression method is not supported; pack it anew as a",
    ),
    "zip with AES": (lambda path: patched(path, {6: 1, 8: 99}), "; pack it anew as a plain .zip"),
    "zip with a wrong checksum": (lambda path: patched(path, {14: 7}), "Bad CRC-32 for file 'cat/0.png'"),
    "zip cut off": (lambda path: cut(packed(tree(), path / "p.zip")), "neither a folder nor a whole"),
    "tar.gz cut off": (lambda path: cut(packed(tree(), path / "p.tar.gz")), "not readable as an archive"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archive_that_cannot_be_used_gets_one_line_and_leaves_nothing(name, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    make, said = ARCHIVES[name]
    before = set(tmp_path.parent.iterdir())
    with pytest.raises(UserError, match=said) as raised:
        prepared(make(tmp_path), tmp_path / "prepared")
    assert "\n" not in str(raised.value)
    assert set(tmp_path.parent.iterdir()) == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_full_disk_is_noticed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"16 images need 0 MB of disk, and 0 MB are free"):
        prepared(written(tree(), tmp_path / "pictures"), tmp_path / "prepared")
    with pytest.raises(UserError, match=r"the unpacked files of p.zip need 0 MB of disk, and 0 MB are free"):
        prepared(packed(tree(), tmp_path / "p.zip"), tmp_path / "again")


def test_names_in_utf8_are_read_without_the_flag_and_in_either_form(tmp_path):
    _, _, manifest = prepared(renamed(tmp_path, "고양이".encode()), tmp_path / "prepared")
    assert set(manifest["class"]) == {"고양이", "dog"}
    forms = [unicodedata.normalize(form, "né") for form in ("NFC", "NFD")]
    files = {name.replace("cat", forms[i % 2]): content for i, (name, content) in enumerate(tree().items())}
    _, _, manifest = prepared(packed(files, tmp_path / "n.zip"), tmp_path / "again")
    assert set(manifest["class"]) == {"né", "dog"}


def test_links_to_pictures_are_read_and_circles_hold_nothing_new(tmp_path):
    path = written(tree(), tmp_path / "disk")
    (path / "cat/linked.png").symlink_to(written({"elsewhere.png": noise(99)}, tmp_path) / "elsewhere.png")
    (path / "cat/round").symlink_to(path / "cat")
    (tmp_path / "pictures").symlink_to(path)
    _, _, manifest = prepared(tmp_path / "pictures", tmp_path / "prepared")
    assert len(manifest) == 17


@pytest.mark.parametrize("place", ["cat/disk", "bird"])
def test_a_link_to_another_folder_which_dvc_does_not_follow_is_named(place, tmp_path):
    path = written(tree(), tmp_path / "pictures")
    (path / place).symlink_to(written({"1.png": noise(90)}, tmp_path / "disk"))
    with pytest.raises(UserError, match=f"{place}: a link to the folder .*disk; DVC does not follow it"):
        prepared(path, tmp_path / "prepared")


def test_what_is_odd_but_usable_is_counted_listed_and_warned_of(tmp_path):
    others = {"cat/bad.png": b"x", "dog/empty.gif": b"", "cat/camera.png": sixteen(4095), "dog/also.png": noise(3)}
    about, warnings, _ = prepared(written(tree(**others), tmp_path / "p"), tmp_path / "o", max_bad_fraction=0.2)
    assert about["unusable_files"] == 2
    assert pd.read_csv(tmp_path / "o/unusable.csv")["name"].tolist() == ["cat/bad.png", "dog/empty.gif"]
    for said in ("2 files cannot be used", "1 images are in two"):
        assert any(said in line for line in warnings), said


def test_classes_are_counted_and_files_named_like_something_else_are_left_out(tmp_path):
    others = {"cat/0.png:Zone.Identifier": b"[ZoneTransfer]", "cat/list.csv": b"a,b", "dog/no ending": noise(70)}
    about, lines, manifest = prepared(written(tree(**others), tmp_path / "p"), tmp_path / "o")
    assert lines == [
        "17 pictures in 2 classes: cat 8, dog 9",
        "2 files were left out, which are no pictures by their names, such as cat/0.png:Zone.Identifier",
    ]
    assert about["unusable_files"] == 0 and len(manifest) == 17


def test_near_duplicates_are_listed_and_warned_of(tmp_path):
    about, warnings, _ = prepared(written(ALIKE, tmp_path / "pictures"), tmp_path / "prepared")
    assert about["near_duplicates"] == len(pd.read_csv(tmp_path / "prepared/near_duplicates.csv")) > 0
    assert any("look like one that may stand in another split" in line for line in warnings)
