"""Exporting a trained model: programs that run without leccr, or even without PyTorch."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from modeling_leccr import LeccrModel
from processing import LeccrProcessor, pictures_leccr
from processing.notes import note
from processing.writing import atomic_folder

from ..errors import UserError, missing_extra
from .checkpoints import load_retriever
from .export_programs import ImageProgram, TextProgram, convertible, export_program, onnx_runner, quantize, write_onnx

FORMATS = ("onnx", "torch-export")
TEXT, IMAGE, INT8 = "text", "image", "text-int8.onnx"
SETTINGS, TOKENIZER, DESCRIPTION_TOKENIZER = "export.json", "tokenizer.json", "description_tokenizer.json"
# The words and letters of a sample that no tokenizer takes for one piece.
SAMPLE = ("a red ball", "two dogs run along the beach in the evening", "ein Haus am See")

README = """# {name}, exported

| file | takes | gives |
| --- | --- | --- |
{files}

Batches may be of any size, and texts of any length up to {text_max_length} tokens, descriptions up to \
{description_max_length}. Ids and masks are int64, pictures float32.

`tokenizer.json` brings texts into the form that the model was trained on, with composed letters, plain spaces and the \
like if its processor does, puts the model's prefix before them if it has one, and cuts and pads them. \
`{description_tokenizer}` does the same for descriptions, to be cut at their own length: \
`tokenizer.enable_truncation({description_max_length})`. A row of zeros in `description_attention_mask` is a picture \
without a description.

{pictures}The score of a text and a picture is the largest inner product of the text's embedding with the picture's \
views.
"""

PICTURES = """`preprocessor_config.json` says how pictures become `pixel_values`; the class `{image_processor}` of \
transformers does it.

"""
VIEWS_EXAMPLE = """
`views.py` embeds a folder of pictures, and needs only numpy, Pillow, tokenizers and onnxruntime:

    python views.py PICTURES views.npz
"""
SEARCH_EXAMPLE = """
`search.py` searches them, and needs only numpy, tokenizers and onnxruntime:

    python search.py views.npz "ein roter Ball"

```python
{example}```
"""
# Most that a pixel of views.py may differ from the image processor's, whose library may resize a little differently.
PIXEL_TOLERANCE = 0.05


def run_export(
    checkpoint: str | Path,
    output: str | Path,
    format: str = "onnx",
    int8: bool = False,
    picture_size: int | None = None,
) -> dict[str, float]:
    """Write a model as programs with a batch and texts of any length: what `leccr export` does.

    Args:
        checkpoint: Folder or Hub name of a trained model.
        output: New or empty folder. It gets `text` and, unless the model takes videos or ready-made features,
            `image`, with the tokenizer, a README and examples.
        format: `"onnx"`, or `"torch-export"` for `torch.export.load`.
        int8: Whether to write the text tower a second time with weights of 8 bits, for the CPU.
        picture_size: Side of the pictures in pixels, if the image processor does not resize them.

    Returns:
        For each file the largest difference of its output from the model's own, on a few texts and random pictures.

    Raises:
        UserError: If the output has files in it, the checkpoint or a library is missing, the pictures have no size,
            or PyTorch cannot export one of the towers.
    """
    output = Path(output)
    if format not in FORMATS:
        raise UserError(f"--format {format} is not known; choose {' or '.join(FORMATS)}.")
    if int8 and format != "onnx":
        raise UserError("--int8 is for --format onnx; leave it out.")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is not empty; choose a new folder.")
    if format == "onnx":
        _check_libraries()
    # On the CPU, or else the programs would name a device that the next machine may not have.
    model, processor = load_retriever(checkpoint)
    model = convertible(model)
    samples = {TEXT: text_sample(processor)}
    if model.config.vision_config is None or processor.num_frames is not None:
        note("The model takes videos or ready-made features; only its text tower is exported.")
    elif model.config.has_sentences:
        note("The model takes descriptions in sentences; only its text tower is exported.")
    else:
        samples[IMAGE] = image_sample(processor, picture_size)
    with atomic_folder(output) as part:
        differences = _write_all(model, processor, samples, part, format, int8)
        _write_companions(processor, part, str(checkpoint), differences, samples)
    for file, difference in differences.items():
        print(f"{output / file}: differs from the model by at most {difference:.1e}")
    return differences


def text_sample(processor: LeccrProcessor) -> dict[str, Tensor]:
    """Return a few texts as the text program takes them."""
    return {name: value for name, value in processor(text=list(SAMPLE)).items() if name in _names(TextProgram)}


def image_sample(processor: LeccrProcessor, picture_size: int | None = None) -> dict[str, Tensor]:
    """Return random pictures, the first without a description, as the image program takes them.

    Raises:
        UserError: If the image processor does not resize the pictures, and no size is given.
    """
    side = picture_size or 64
    generator = np.random.default_rng(0)
    pictures = [Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in SAMPLE]
    inputs = processor(images=pictures, descriptions=[None, *SAMPLE[1:]])
    if picture_size is None:
        other = processor(images=[Image.new("RGB", (side + 32, side + 32))])["pixel_values"]
        if other.shape[1:] != inputs["pixel_values"].shape[1:]:
            raise UserError("The image processor does not resize pictures; give their size with --picture-size PIXELS.")
    return {name: inputs[name] for name in _names(ImageProgram)}


def _write_all(
    model: LeccrModel,
    processor: LeccrProcessor,
    samples: dict[str, dict[str, Tensor]],
    folder: Path,
    format: str,
    int8: bool,
) -> dict[str, float]:
    """Write all programs, and return by file how far each is from the model."""
    differences = {}
    for name, inputs in samples.items():
        program = TextProgram(model) if name == TEXT else ImageProgram(model)
        longest = processor.text_max_length if name == TEXT else processor.description_max_length
        if format == "onnx":
            path = folder / f"{name}.onnx"
            write_onnx(program, inputs, longest, path)
            differences[path.name] = _difference(program, inputs, onnx_runner(path))
        else:
            path = folder / f"{name}.pt2"
            torch.export.save(export_program(program, inputs, longest), path)
            differences[path.name] = _difference(program, inputs, torch.export.load(path).module())
    if int8:
        quantize(folder / f"{TEXT}.onnx", folder / INT8)
        differences[INT8] = _difference(TextProgram(model), samples[TEXT], onnx_runner(folder / INT8))
    return differences


def _difference(program: nn.Module, inputs: dict[str, Tensor], run: Callable[..., Tensor]) -> float:
    with torch.no_grad():
        return (program(**inputs) - run(**inputs)).abs().max().item()


def _write_companions(
    processor: LeccrProcessor,
    folder: Path,
    name: str,
    differences: dict[str, float],
    samples: dict[str, dict[str, Tensor]],
) -> None:
    _write_tokenizer(processor, folder)
    lengths = {name: getattr(processor, name) for name in ("text_max_length", "description_max_length")}
    settings = {**lengths, "largest_difference": differences}
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    pictures = examples = ""
    if IMAGE in samples:
        image_processor = sized(processor.image_processor, samples[IMAGE]["pixel_values"])
        image_processor.save_pretrained(folder)
        pictures = PICTURES.format(image_processor=type(image_processor).__name__)
        if f"{IMAGE}.onnx" in differences and _views_script_agrees(image_processor):
            _copy_script("exported_views.py", folder / "views.py")
            shutil.copyfile(str(pictures_leccr.__file__), folder / "pictures_leccr.py")
            examples = VIEWS_EXAMPLE
    if f"{TEXT}.onnx" in differences:
        examples += SEARCH_EXAMPLE.format(example=_copy_script("exported_search.py", folder / "search.py"))
    rows = []
    for file in differences:
        kind = TEXT if file.startswith(TEXT) else IMAGE
        shapes = ", ".join(f"`{key}` {_shape(value)}" for key, value in samples[kind].items())
        rows.append(
            f"| `{file}` | {shapes} | {'embeddings (B, D), unit length' if kind == TEXT else 'views (B, K, D)'} |"
        )
    names = {"name": Path(name).name, "description_tokenizer": _description_file(processor)}
    readme = README.format(**names, files="\n".join(rows), pictures=pictures, **lengths)
    (folder / "README.md").write_text(readme + examples, encoding="utf-8")


def _description_file(processor: LeccrProcessor) -> str:
    """Return the name of the tokenizer of descriptions, which has its own file where it is not that of texts."""
    return TOKENIZER if processor.description_tokenizer is processor.tokenizer else DESCRIPTION_TOKENIZER


def _write_tokenizer(processor: LeccrProcessor, folder: Path) -> None:
    files = {_description_file(processor): processor.description_tokenizer, TOKENIZER: processor.tokenizer}
    for file, fast in files.items():
        tokenizer = type(fast.backend_tokenizer).from_str(fast.backend_tokenizer.to_str())
        tokenizer.enable_truncation(processor.text_max_length)
        tokenizer.enable_padding(
            direction=fast.padding_side,
            pad_id=fast.pad_token_id,
            pad_token=fast.pad_token,
            length=processor.text_max_length if processor.pad_to_max_length else None,
        )
        tokenizer.save(str(folder / file))


def sized(image_processor: Any, pixel_values: Tensor) -> Any:
    """Return an image processor that makes every picture as large as a program takes it.

    Args:
        image_processor: The model's, which may leave pictures at their size.
        pixel_values: (B, 3, H, W) that the program takes.
    """
    height, width = pixel_values.shape[2:]
    other = image_processor(images=[Image.new("RGB", (width + 32, height + 16))], return_tensors="pt")["pixel_values"]
    if other.shape[2:] == (height, width):
        return image_processor
    exported = copy.deepcopy(image_processor)
    exported.do_resize, exported.do_center_crop = True, False
    exported.size = {"height": height, "width": width}
    return exported


def _views_script_agrees(image_processor: Any) -> bool:
    """Return whether views.py, which knows the usual settings only, makes the pixels that an image processor makes."""
    from .exported_views import pixel_values

    picture = Image.linear_gradient("L").resize((300, 200)).convert("RGB")
    expected = image_processor(images=[picture], return_tensors="np")["pixel_values"][0]
    try:
        pixels = pixel_values(picture, json.loads(image_processor.to_json_string()))
    except (KeyError, TypeError, ValueError):
        return False
    return pixels.shape == expected.shape and bool(np.abs(pixels - expected).max() < PIXEL_TOLERANCE)


def _copy_script(name: str, path: Path) -> str:
    script = Path(__file__).with_name(name).read_text(encoding="utf-8")
    path.write_text(script, encoding="utf-8")
    return script


def _shape(value: Tensor) -> str:
    return "(B, L)" if value.dim() == 2 else f"(B, {', '.join(str(size) for size in value.shape[1:])})"


def _names(program: type[nn.Module]) -> list[str]:
    return [name for name in program.forward.__annotations__ if name != "return"]


def _check_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra("export", "--format onnx") from error


__all__ = ["image_sample", "run_export", "sized", "text_sample"]
