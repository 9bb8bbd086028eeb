"""The two programs that an export writes: their networks, torch.export and ONNX, and int8 weights."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from modeling_leccr import LeccrModel

from ..errors import UserError

MOST_ROWS = 65536


class TextProgram(nn.Module):
    """The text tower by itself: `input_ids` and `attention_mask` (B, L) to unit embeddings (B, D)."""

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


def convertible(model: LeccrModel) -> LeccrModel:
    """Return the model in float32, with what the exporters cannot convert put in other words."""

    def with_float_mask(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        mask = kwargs.get("attention_mask")
        return args, {**kwargs, "attention_mask": None if mask is None else mask.float()}

    for tower in model.towers():
        # It subtracts the mask from 1.0, which the converter to ONNX refuses to do with integers.
        if tower.model.config.model_type == "xlnet":
            tower.model.register_forward_pre_hook(with_float_mask, with_kwargs=True)
    return model.float()


def export_program(program: nn.Module, inputs: dict[str, Tensor], max_length: int) -> ExportedProgram:
    """Return a program for batches of any size and texts of up to `max_length` tokens.

    Raises:
        UserError: If torch.export cannot follow what one of the towers does.
    """
    with torch.no_grad(), _quiet(), _plain_errors(program):
        shapes = _dynamic_shapes(inputs, max_length)
        return torch.export.export(program.eval(), (), inputs, dynamic_shapes=shapes)


def write_onnx(program: nn.Module, inputs: dict[str, Tensor], max_length: int, path: Path) -> None:
    """Write a program as one ONNX file, and weights of more than 2 GB to a separate file next to it.

    Raises:
        UserError: If torch.export or torch.onnx cannot follow what one of the towers does.
    """
    exported = export_program(program, inputs, max_length)
    with _quiet(), _plain_errors(program):
        converted = torch.onnx.export(
            exported,
            kwargs=inputs,
            dynamo=True,
            verbose=False,
            dynamic_shapes=_dynamic_shapes(inputs, max_length),
        )
        if converted is None:
            raise RuntimeError(f"torch.onnx produced nothing for {path.stem}.")
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


def _dynamic_shapes(inputs: dict[str, Tensor], max_length: int) -> dict[str, dict[int, Any]]:
    batch, length = Dim("batch", min=1, max=MOST_ROWS), Dim("length", min=1, max=max_length)
    return {name: {0: batch, 1: length} if value.dim() == 2 else {0: batch} for name, value in inputs.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the exporters' notes about themselves, which a user can do nothing about."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _plain_errors(program: nn.Module) -> Iterator[None]:
    """Say in one sentence what the exporters fail at: their own errors are of any class, and speak of internals."""
    try:
        yield
    except Exception as error:
        model: Any = program.model
        towers = [model.text.tower] if isinstance(program, TextProgram) else model.towers()
        kinds = {tower.model.config.model_type for tower in towers}
        raise UserError(
            f"PyTorch cannot export a model with towers of the kind {' and '.join(sorted(kinds))} for inputs of any "
            "size; use it in PyTorch, or train one with other towers, such as bert, xlm-roberta or clip_vision_model. "
            "LECCR_DEBUG=1 shows what PyTorch says itself."
        ) from error


__all__ = ["ImageProgram", "TextProgram", "convertible", "export_program", "onnx_runner", "quantize", "write_onnx"]
