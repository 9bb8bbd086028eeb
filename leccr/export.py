"""Exporting a trained model: programs that run without our code, or without PyTorch altogether."""

import json
import logging
import shutil
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from modeling_leccr import LeccrModel
from processing import LeccrProcessor

from .checkpoints import load_retriever
from .errors import UserError

FORMATS = ("onnx", "torch-export")
TEXT, IMAGE, INT8 = "text", "image", "text-int8.onnx"
SETTINGS = "export.json"
MOST_ROWS = 65536
# The words and letters of a sample that no tokenizer takes for one piece.
SAMPLE = ("a red ball", "two dogs run along the beach in the evening", "ein Haus am See")

README = """# {name}, exported

| file | takes | gives |
| --- | --- | --- |
{files}

Batches may be of any size, and texts of any length up to {text_max_length} tokens, descriptions up to \
{description_max_length}. Ids and masks are int64, pictures float32.

`tokenizer.json` cuts and pads texts as in training. Cut descriptions at their own length instead: \
`tokenizer.enable_truncation({description_max_length})`. A row of zeros in `description_attention_mask` is a picture \
without a description. `preprocessor_config.json` says how pictures become `pixel_values`; the class \
`{image_processor}` of transformers does it.

The score of a text and a picture is the largest inner product of the text's embedding with the picture's views.
"""

EXAMPLE = """
`search.py` needs only numpy, tokenizers and onnxruntime:

    python search.py views.npy "ein roter Ball"

```python
{example}```
"""


class TextProgram(nn.Module):
    """The text tower by itself: ``input_ids`` and ``attention_mask`` (B, L) to unit embeddings (B, D)."""

    def __init__(self, model: LeccrModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed texts."""
        return self.model.get_text_features(input_ids, attention_mask)


class ImageProgram(nn.Module):
    """Pictures (B, 3, H, W) and descriptions (B, L) to views (B, K, D); a mask of zeros is no description."""

    def __init__(self, model: LeccrModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, pixel_values: Tensor, description_input_ids: Tensor, description_attention_mask: Tensor
    ) -> Tensor:
        """Embed pictures."""
        return self.model.get_image_views(pixel_values, description_input_ids, description_attention_mask)


def run_export(
    checkpoint: str | Path,
    output: str | Path,
    format: str = "onnx",
    int8: bool = False,
    picture_size: int | None = None,
) -> dict[str, float]:
    """Write a model as programs with a batch and texts of any length: what ``leccr export`` does.

    Args:
        checkpoint: Folder or Hub name of a trained model.
        output: New or empty folder. It gets ``text`` and, unless the model takes videos or ready-made features,
            ``image``, with the tokenizer, a README and an example.
        format: ``"onnx"``, or ``"torch-export"`` for ``torch.export.load``.
        int8: Whether to write the text tower a second time with weights of 8 bits, for the CPU.
        picture_size: Side of the pictures in pixels, where the image processor leaves their size alone.

    Returns:
        For each file the largest difference of its output from the model's own, on a few texts and random pictures.

    Raises:
        UserError: If the output has files in it, the checkpoint or a library is not there, or the pictures have no
            size.
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
    model, processor = load_retriever(checkpoint)
    model = _convertible(model)
    samples = {TEXT: text_sample(processor)}
    if model.config.vision_config is None or processor.num_frames is not None:
        print("The model takes videos or ready-made features; only its text tower is exported.")
    else:
        samples[IMAGE] = image_sample(processor, picture_size)
    part = output.absolute().with_name(output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        differences = _write_all(model, processor, samples, part, format, int8)
        _write_companions(processor, part, str(checkpoint), differences, samples)
        if output.exists():
            output.rmdir()
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    for file, difference in differences.items():
        print(f"{output / file}: differs from the model by at most {difference:.1e}")
    return differences


def _convertible(model: LeccrModel) -> LeccrModel:
    """Return the model in float32, with what the exporters cannot convert put in other words."""

    def with_float_mask(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        mask = kwargs.get("attention_mask")
        return args, {**kwargs, "attention_mask": None if mask is None else mask.float()}

    for tower in (model.text_tower, model.description_tower):
        # It subtracts the mask from 1.0, which the converter to ONNX refuses to do with integers.
        if tower is not None and tower.model.config.model_type == "xlnet":
            tower.model.register_forward_pre_hook(with_float_mask, with_kwargs=True)
    return model.float()


def text_sample(processor: LeccrProcessor) -> dict[str, Tensor]:
    """Return a few texts as the text program takes them."""
    return {name: value for name, value in processor(text=list(SAMPLE)).items() if name in _names(TextProgram)}


def image_sample(processor: LeccrProcessor, picture_size: int | None = None) -> dict[str, Tensor]:
    """Return random pictures, the first without a description, as the image program takes them.

    Raises:
        UserError: If the image processor leaves the pictures' size alone, and none is given.
    """
    side = picture_size or 64
    generator = np.random.default_rng(0)
    pictures = [Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in SAMPLE]
    inputs = processor(images=pictures, descriptions=[None, *SAMPLE[1:]])
    if picture_size is None:
        other = processor(images=[Image.new("RGB", (side + 32, side + 32))])["pixel_values"]
        if other.shape[1:] != inputs["pixel_values"].shape[1:]:
            raise UserError("The image processor leaves pictures at their size; give that with --picture-size PIXELS.")
    return {name: inputs[name] for name in _names(ImageProgram)}


def export_program(program: nn.Module, inputs: dict[str, Tensor], max_length: int) -> ExportedProgram:
    """Return a program for batches of any size and texts of up to ``max_length`` tokens."""
    with torch.no_grad(), _quiet():
        shapes = _dynamic_shapes(inputs, max_length)
        return torch.export.export(program.eval(), (), inputs, dynamic_shapes=shapes)


def write_onnx(program: ExportedProgram, inputs: dict[str, Tensor], max_length: int, path: Path) -> None:
    """Write a program as one ONNX file, beside which weights of more than 2 GB get a file of their own."""
    with _quiet():
        converted = torch.onnx.export(
            program,
            kwargs=inputs,
            dynamo=True,
            verbose=False,
            dynamic_shapes=_dynamic_shapes(inputs, max_length),
        )
    if converted is None:
        raise RuntimeError(f"torch.onnx made nothing of {path.stem}.")
    converted.save(path)


def quantize(path: Path, quantized: Path) -> None:
    """Write an ONNX file again, with weights of 8 bits; activations are rounded while it runs."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    # The quantiser transposes weights, and then stumbles over the shapes that they had before.
    del model.graph.value_info[:]
    with _quiet():
        # One scale for each output channel costs nothing at run time, and is more exact.
        quantize_dynamic(model, quantized, weight_type=QuantType.QInt8, per_channel=True)


def onnx_runner(path: Path, threads: int = 0) -> Callable[..., Tensor]:
    """Return a function that runs an ONNX file on the CPU, on inputs by their names; 0 threads lets it choose."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    known = {value.name for value in session.get_inputs()}

    def run(**inputs: Tensor) -> Tensor:
        arrays = {name: value.numpy() for name, value in inputs.items() if name in known}
        return torch.from_numpy(session.run(None, arrays)[0])

    return run


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
        exported = export_program(program, inputs, longest)
        if format == "onnx":
            path = folder / f"{name}.onnx"
            write_onnx(exported, inputs, longest, path)
            differences[path.name] = _difference(program, inputs, onnx_runner(path))
        else:
            path = folder / f"{name}.pt2"
            torch.export.save(exported, path)
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
    tokenizer = type(processor.tokenizer.backend_tokenizer).from_str(processor.tokenizer.backend_tokenizer.to_str())
    tokenizer.enable_truncation(processor.text_max_length)
    tokenizer.enable_padding(
        direction=processor.tokenizer.padding_side,
        pad_id=processor.tokenizer.pad_token_id,
        pad_token=processor.tokenizer.pad_token,
        length=processor.text_max_length if processor.pad_to_max_length else None,
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    if IMAGE in samples:
        processor.image_processor.save_pretrained(folder)
    lengths = {name: getattr(processor, name) for name in ("text_max_length", "description_max_length")}
    settings = {**lengths, "largest_difference": differences}
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    rows = []
    for file in differences:
        kind = TEXT if file.startswith(TEXT) else IMAGE
        shapes = ", ".join(f"`{key}` {_shape(value)}" for key, value in samples[kind].items())
        rows.append(
            f"| `{file}` | {shapes} | {'embeddings (B, D), unit length' if kind == TEXT else 'views (B, K, D)'} |"
        )
    readme = README.format(
        name=Path(name).name,
        files="\n".join(rows),
        image_processor=type(processor.image_processor).__name__,
        **lengths,
    )
    if f"{TEXT}.onnx" in differences:
        example = Path(__file__).with_name("exported_search.py").read_text(encoding="utf-8")
        (folder / "search.py").write_text(example, encoding="utf-8")
        readme += EXAMPLE.format(example=example)
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _shape(value: Tensor) -> str:
    return "(B, L)" if value.dim() == 2 else f"(B, {', '.join(str(size) for size in value.shape[1:])})"


def _dynamic_shapes(inputs: dict[str, Tensor], max_length: int) -> dict[str, dict[int, Any]]:
    batch, length = Dim("batch", min=1, max=MOST_ROWS), Dim("length", min=1, max=max_length)
    return {name: {0: batch, 1: length} if value.dim() == 2 else {0: batch} for name, value in inputs.items()}


def _names(program: type[nn.Module]) -> list[str]:
    return [name for name in program.forward.__annotations__ if name != "return"]


def _check_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f'--format onnx needs {error.name}: install it with pip install "leccr[export]".') from error


@contextmanager
def _quiet() -> Any:
    """Hold back the exporters' notes about themselves, which a user can do nothing about."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


__all__ = ["export_program", "image_sample", "onnx_runner", "quantize", "run_export", "text_sample", "write_onnx"]
