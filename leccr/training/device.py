"""Where Trainer trains: what `--device` means for training."""

from processing.device import choose_device

from ..errors import UserError


def device_settings(device: str) -> dict[str, str]:
    """Return the settings of `transformers.TrainingArguments` by which Trainer uses a device.

    By itself Trainer uses all GPUs that it sees, and the CPU only where it sees none.

    Args:
        device: As for `processing.device.choose_device`.

    Returns:
        Fields and values as `leccr.recipes.recipe.override_training` takes them.

    Raises:
        UserError: If this machine has no such device, or it is one of several GPUs.
    """
    index = choose_device(device).index
    if index is not None:
        raise UserError(f"Training uses all GPUs that it sees, not only {device}; set CUDA_VISIBLE_DEVICES={index}.")
    return {"use_cpu": "true"} if device == "cpu" else {}
