"""The arguments of ``captum-ext explain``, and the outputs that they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from captum_ext._utils.files import file_names
from captum_ext._utils.text import printable
from captum_ext.cli import models
from captum_ext.cli.errors import CommandError
from captum_ext.cli.explain_images import ImageFile, find_image_files
from captum_ext.cli.explain_methods import TITLES
from captum_ext.cli.optimized import add_exact_option
from captum_ext.cli.options import add_device_options, parse_count, parse_output
from captum_ext.vision.pictures import read
from captum_ext.vision.starts import STARTS

if TYPE_CHECKING:
    from captum_ext.cli.explain_outputs import ExplainOutput

_MAX_STEPS = 5000
_MAX_BATCH_ROWS = 100  # of one figure; matplotlib's have at most 65,535 pixels
_FEW_IMAGES = 8  # that the default output shows in one figure
_STYLES = ("overlay", "heatmap")
_SAVE_SUFFIXES = (".npz", ".safetensors")


def add_explain_options(parser: argparse.ArgumentParser) -> None:
    """Add all arguments."""
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help="image files, folders, or quoted patterns such as 'photos/*.jpg'"
    )
    parser.add_argument("--text", help="explain this text, in place of images, with --model module:function")
    models.add_model_options(parser)
    parser.add_argument(
        "-M",
        "--methods",
        help=f"comma-separated, from {','.join(TITLES)}, and with +xrai after each (default: the first six, and "
        "those with patterns if --patterns is given)",
    )
    parser.add_argument("-p", "--patterns", metavar="FILE", help="a file written with captum-ext fit-patterns")
    parser.add_argument(
        "-n",
        "--steps",
        default="50",
        help="steps of each path, or auto: as many as an error of 5%% takes, 50 for methods that can't choose "
        "(default: %(default)s)",
    )
    parser.add_argument("-t", "--target", help="class index or name (default: the predicted class)")
    parser.add_argument(
        "-k", "--top-k", default="1", metavar="K", help="explain the K most probable classes (default: %(default)s)"
    )
    parser.add_argument("--logit", action="store_true", help="explain the class's logit instead of its probability")
    parser.add_argument(
        "-l",
        "--layer",
        metavar="NAME",
        help="explain at a layer with output (B, C, H, W), such as layer4",
    )
    parser.add_argument("-b", "--baseline", default="black", help=f"one of {', '.join(STARTS)} (default: %(default)s)")
    parser.add_argument(
        "-s",
        "--style",
        choices=_STYLES,
        default="overlay",
        help="overlay (red for the class, blue against it) or heatmap (magnitudes on black); default: %(default)s",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="a .png file with all images, or a folder: one PNG per image and index.html (default: explain.png; for "
        "folders or more than 8 images, the folder explain)",
    )
    parser.add_argument("--save", metavar="FILE", help="write the maps as numbers too: a .npz or .safetensors file")
    parser.add_argument("--pdf", metavar="FILE", help="write a .pdf file too, with one page per image")
    parser.add_argument(
        "-f", "--format", choices=("text", "json"), default="text", help="what is printed (default: %(default)s)"
    )
    parser.add_argument("--list-models", action="store_true", help="print the models' names and exit")
    parser.add_argument("--list-methods", action="store_true", help="print the methods' names and exit")
    add_exact_option(parser)
    add_device_options(parser)


def parse_steps(text: str) -> int | str:
    """A number of steps, or ``"auto"``.

    Raises:
        CommandError: If it is anything else.
    """
    return text if text == "auto" else parse_count("--steps", text, _MAX_STEPS)


def parse_images(arguments: argparse.Namespace, top_k: int) -> tuple[list[ImageFile], Path]:
    """The images, and the figure or folder to write; all that can fail before the work does.

    Raises:
        CommandError: If an image that the user named can't be read, or the output can't be written.
    """
    folders = [name for name in arguments.images if Path(name).is_dir()]
    output = arguments.output
    is_figure = output is not None and _is_figure(output)
    if output is not None and not is_figure:
        for folder in folders:
            if Path(folder).resolve() == Path(output).resolve():
                raise CommandError(f"--output {output}: is a folder of images to explain; name another one")
    default_folder = Path("explain")
    images = find_image_files(arguments.images, None if is_figure else Path(output or default_folder))
    if output is None:
        many = bool(folders) or len(images) > _FEW_IMAGES
        output, is_figure = (str(default_folder), False) if many else ("explain.png", True)
    if is_figure and len(images) * top_k > _MAX_BATCH_ROWS:
        raise CommandError(f"--output {output}: {len(images)} images are too many for one figure; name a folder")
    inputs = [image.path for image in images if image.path is not None]
    path = parse_output(output, (".png",), inputs) if is_figure else Path(output)
    for image in images:
        if image.is_named and image.path is not None:
            read(image.path)
    return images, path


def _is_figure(output: str) -> bool:
    path = Path(output)
    if path.suffix.lower() == ".png":
        return True
    if path.suffix and not path.is_dir() and not output.endswith(("/", "\\")):
        raise CommandError(
            f"--output {output}: expected a name that ends with .png, or a folder (with / at the end if its name has "
            "a dot)"
        )
    return False


def make_outputs(
    arguments: argparse.Namespace, images: list[ImageFile], output: Path, methods: list[str], steps: int | str
) -> list[ExplainOutput]:
    """The outputs that the arguments ask for.

    Raises:
        CommandError: If one can't be written, or would replace an image.
    """
    inputs = [image.path for image in images if image.path is not None]
    save = None if arguments.save is None else parse_output(arguments.save, _SAVE_SUFFIXES, inputs, "--save")
    pdf = None if arguments.pdf is None else parse_output(arguments.pdf, (".pdf",), inputs, "--pdf")
    # This imports matplotlib.
    from captum_ext.cli.explain_outputs import FigureOutput, GalleryOutput, MapsOutput, PdfOutput

    parts = [printable(arguments.model), f"{steps} steps", f"baseline {arguments.baseline}"]
    parts += ["logit"] * arguments.logit + [f"layer {arguments.layer}"] * (arguments.layer is not None)
    settings = ", ".join(parts)
    outputs: list[ExplainOutput] = []
    if output.suffix.lower() == ".png" and not output.is_dir():
        outputs.append(FigureOutput(output, settings, arguments.style))
    else:
        files = _gallery_files(output, images)
        outputs.append(GalleryOutput(output, files, settings, arguments.style))
    if pdf is not None:
        outputs.append(PdfOutput(pdf, settings, arguments.style))
    if save is not None:
        names = ("model", "baseline", "logit", "layer", "target", "exact")
        outputs.append(
            MapsOutput(save, {"methods": methods, "steps": steps, **{name: getattr(arguments, name) for name in names}})
        )
    return outputs


def _gallery_files(folder: Path, images: list[ImageFile]) -> dict[str, Path]:
    """The figure of each image; the folder is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--output {folder}: can't be written ({error.strerror})") from error
    stems = file_names((Path(image.name).stem for image in images), "image")
    taken = {Path(image.path).resolve() for image in images if image.path is not None}
    files = {image.name: folder / f"{stem}.png" for image, stem in zip(images, stems, strict=True)}
    for file in files.values():
        if file.resolve() in taken:
            raise CommandError(f"--output {folder}: {file} is one of the images to explain; name another folder")
    return files
