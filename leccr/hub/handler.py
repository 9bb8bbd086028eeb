"""Answers requests of an Inference Endpoint: vectors of texts and pictures, and the labels that fit a picture.

`leccr push --endpoint-handler` puts this file next to a checkpoint. It needs torch, transformers and pillow only.
"""

import base64
import binascii
import io
from typing import Any

import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MOST_TEXTS = 1000
# Of a template, which is repeated for each label.
MOST_CHARACTERS = 1000
MOST_PIXELS = 50_000_000
HOW = (
    'Give inputs as a text, a list of texts, or {"image": a picture as base64}, and labels for a picture as '
    'parameters: {"candidate_labels": [...]}.'
)


class EndpointHandler:
    """A checkpoint, ready to answer.

    Args:
        path: Its folder.
    """

    def __init__(self, path: str = "") -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = AutoModel.from_pretrained(path, trust_remote_code=True).to(self.device).eval()
        self.processor = AutoProcessor.from_pretrained(path, trust_remote_code=True)
        self.frames = getattr(self.processor, "num_frames", None)
        self.takes_pictures = getattr(self.model.config, "vision_config", None) is not None

    @torch.inference_mode()
    def __call__(self, data: Any) -> list[Any]:
        """Answer one request.

        Args:
            data: `inputs` is a text, a list of texts, a picture as bytes or opened, or a mapping with a picture in
                base64 as `image`; of a model of videos, the frames of one video as a list. `candidate_labels` in
                `parameters` asks which of these texts fit the picture, which may then be `inputs` itself, and
                `hypothesis_template` puts each of them in place of its one `{}`.

        Returns:
            One vector for each text; or the views of the picture, with which a text's vector is multiplied: the
            largest product is the score; or, with labels, each `label` with its `score`, the best first.

        Raises:
            ValueError: If something is missing, or is not what it should be.
        """
        if not isinstance(data, dict) or "inputs" not in data:
            raise ValueError(f"There are no inputs. {HOW}")
        inputs, parameters = data["inputs"], data.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise ValueError(f"The parameters are not a mapping. {HOW}")
        labels, template = parameters.get("candidate_labels"), parameters.get("hypothesis_template")
        if isinstance(inputs, dict):
            if inputs.keys() != {"image"}:
                raise ValueError(f"The inputs have other fields than image: {sorted(map(str, inputs))}. {HOW}")
            inputs = inputs["image"]
        elif isinstance(inputs, (str, list)) and labels is None:
            return list(self.model.get_text_features(**self._tokens(inputs)).float().tolist())
        pixels = self._pixels(inputs)
        if labels is None:
            return list(self.model.get_image_views(**pixels)[0].float().tolist())
        return self._classify(pixels, labels, "{}" if template is None else template)

    def _classify(self, pixels: dict[str, Any], labels: Any, template: Any) -> list[dict[str, Any]]:
        if not isinstance(labels, list):
            raise ValueError("The candidate_labels are not a list of texts.")
        if not isinstance(template, str) or template.count("{}") != 1 or len(template) > MOST_CHARACTERS:
            raise ValueError(
                f"The hypothesis_template is no text of at most {MOST_CHARACTERS} characters with one {{}} where the "
                "label goes."
            )
        texts = [template.replace("{}", label) if isinstance(label, str) and label.strip() else "" for label in labels]
        scores = self.model(**self._tokens(texts), **pixels).logits_per_image[0].softmax(dim=-1).tolist()
        answers = [{"label": label, "score": score} for label, score in zip(labels, scores)]
        return sorted(answers, key=lambda answer: -answer["score"])

    def _tokens(self, texts: Any) -> dict[str, Any]:
        texts = [texts] if isinstance(texts, str) else texts
        if not texts or len(texts) > MOST_TEXTS:
            raise ValueError(f"There are {len(texts)} texts; give from 1 to {MOST_TEXTS}.")
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"Text {number} is empty or no text. {HOW}")
        # JSON may have half of a surrogate pair, which is not text to tokenizers.
        texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return self._on_device(self.processor(text=texts, padding=True, truncation=True, return_tensors="pt"))

    def _pixels(self, pictures: Any) -> dict[str, Any]:
        if not self.takes_pictures:
            raise ValueError("This model takes texts only.")
        if self.frames is None:
            return self._on_device(self.processor(images=opened_picture(pictures)))
        frames = pictures if isinstance(pictures, list) else [pictures]
        if not 1 <= len(frames) <= self.frames:
            raise ValueError(f"The video has {len(frames)} frames; give from 1 to {self.frames}.")
        return self._on_device(self.processor(videos=[[opened_picture(frame) for frame in frames]]))

    def _on_device(self, inputs: Any) -> dict[str, Any]:
        return {name: value.to(self.device) for name, value in inputs.items() if name != "token_type_ids"}


def opened_picture(picture: Any) -> Image.Image:
    """Return a picture from base64, bytes, or as it is if it is opened. Addresses and files are never read.

    Raises:
        ValueError: If it is broken, of another format, or has too many pixels.
    """
    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, str):
        try:
            # Browsers write what kind of file it is in front.
            picture = base64.b64decode("".join(picture.rpartition("base64,")[2].split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("The picture is not base64. Send the file itself; no address is fetched.") from error
    if not isinstance(picture, bytes):
        raise ValueError(f"The picture is neither base64 nor bytes. {HOW}")
    try:
        opened = Image.open(io.BytesIO(picture), formats=FORMATS)
        is_small = opened.width * opened.height <= MOST_PIXELS
        if is_small:
            opened.load()
    except Image.DecompressionBombError:
        is_small = False
    except Exception as error:  # Decoders that meet broken files raise almost anything.
        raise ValueError(f"The picture is broken, or none of these: {', '.join(FORMATS)}.") from error
    if not is_small:
        raise ValueError(f"The picture has too many pixels; send one of at most {MOST_PIXELS:,}.")
    return opened
