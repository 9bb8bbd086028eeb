"""A small image captioner that `leccr describe` can run: frozen MobileNetV2 and a decoder trained from scratch.

The architecture is FastVLM's, whose vision tower may be convolutional: each position of MobileNetV2's map becomes a
token in front of the text. The text is a question and its answer; the questions ask for a short caption, a middling one
and a long one, so that three answers say more than one. It knows no other questions: they are saved with it as
`prompts.yaml`, to be given to `leccr describe` as `--prompts`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm
from transformers import (
    AutoModel,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    GenerationConfig,
    LlavaProcessor,
    PhiConfig,
    get_cosine_schedule_with_warmup,
)
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from processing.features import FeatureFile
from processing.tokenizers import train_tokenizer
from processing.writing import atomic_folder

# Each image's captions are answers to these, the shortest to the first and the longest to the last.
QUESTIONS = {"short": "In short:", "sentence": "In one sentence:", "detail": "In detail:"}
TEMPLATE = (
    "[CLS]{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
PROMPTS_FILE = "prompts.yaml"
REPORT_FILE = "report.json"
STRIDE = 32
NOT_ASKED = -100

Captions = Mapping[str, Sequence[str]]
"""Captions by image."""


def build_captioner(
    vision: str | Path,
    captions: Sequence[str],
    width: int = 256,
    layers: int = 3,
    vocabulary: int = 4000,
    dropout: float = 0.1,
) -> tuple[FastVlmForConditionalGeneration, LlavaProcessor]:
    """Return an untrained captioner around a trained MobileNetV2, with a vocabulary learned from captions."""
    tokenizer = train_tokenizer([*captions, *100 * list(QUESTIONS.values())], vocabulary)
    tokenizer.add_special_tokens({"bos_token": "[CLS]", "eos_token": "[SEP]", "additional_special_tokens": ["<image>"]})
    processor = LlavaProcessor(
        AutoImageProcessor.from_pretrained(vision, backend="pil"),
        tokenizer,
        patch_size=STRIDE,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
    )
    tower = AutoModel.from_pretrained(vision)
    # FastVLM asks for a name that MobileNetV2's configuration does not have.
    tower.config.hidden_size = tower.conv_1x1.convolution.out_channels
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = PhiConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        max_position_embeddings=256,
        **special,
    )
    config = FastVlmConfig(
        vision_config=tower.config,
        text_config=text,
        image_token_index=processor.image_token_id,
        tie_word_embeddings=True,
    )
    model = FastVlmForConditionalGeneration(config)
    model.model.vision_tower = tower.eval().requires_grad_(False)
    model.generation_config = GenerationConfig(num_beams=3, **special)
    return model, processor


def train_captioner(
    model: FastVlmForConditionalGeneration,
    tokenizer: Any,
    maps: FeatureFile,
    captions: Captions,
    epochs: int,
    seed: int,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
) -> None:
    """Train projector and decoder on maps computed ahead."""
    torch.manual_seed(seed)
    names = sorted(captions)
    mean, deviation = maps.statistics(names[:500])
    deviation = deviation.clamp(min=0.01)
    texts = {name: encode(tokenizer, captions[name]) for name in names}
    trained = [*model.model.multi_modal_projector.parameters(), *model.model.language_model.parameters()]
    optimizer = torch.optim.AdamW(trained, learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    steps = epochs * -(-len(names) // batch_size)
    schedule = get_cosine_schedule_with_warmup(optimizer, min(100, steps // 10), steps)
    model.train()
    progress = tqdm(total=steps, desc="Training", unit="step", mininterval=5)
    for _ in range(epochs):
        for batch in _batches(names, batch_size, shuffled=True):
            images = (_maps(maps, batch) - mean) / deviation
            loss = caption_loss(model, images, [texts[name] for name in batch], smoothing=0.1)
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            progress.update()
        progress.set_postfix(loss=f"{loss.item():.2f}")
    progress.close()
    model.eval()
    _take_in(model.model.multi_modal_projector.linear_1, mean, deviation)


def encode(tokenizer: Any, captions: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """Return for each caption the tokens of its question and of itself, and the labels: the caption's tokens only."""
    questions = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in QUESTIONS.values()]
    encoded = []
    for rank, caption in enumerate(sorted(captions, key=len)):
        question = questions[rank * len(questions) // len(captions)]
        answer = [*tokenizer(caption, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        tokens, labels = [*question, *answer], [*[NOT_ASKED] * len(question), *answer]
        encoded.append((torch.tensor(tokens[:-1]), torch.tensor(labels[1:])))
    return encoded


def caption_loss(
    model: FastVlmForConditionalGeneration,
    images: Tensor,
    texts: Sequence[Sequence[tuple[Tensor, Tensor]]],
    smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross-entropy of the captions of images (B, 49, 1280), the same number for each.

    An image's tokens are computed once, and its captions continue them as a generated text continues its prompt.
    """
    decoder, embeddings = model.model.language_model, model.get_input_embeddings()
    # Half precision where the arithmetic is: twice as fast on processors that have it.
    with torch.autocast("cpu", torch.bfloat16):
        first = embeddings.weight[model.config.text_config.bos_token_id].expand(len(images), 1, -1)
        prefix = torch.cat([first, model.model.multi_modal_projector(images)], dim=1)
        cache = decoder(inputs_embeds=prefix, use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(texts[0]))
        rows = [row for captions in texts for row in captions]
        tokens = pad_sequence([tokens for tokens, _ in rows], batch_first=True)
        labels = pad_sequence([labels for _, labels in rows], batch_first=True, padding_value=NOT_ASKED)
        states = decoder(input_ids=tokens, past_key_values=cache).last_hidden_state
        asked = labels != NOT_ASKED
        logits = model.lm_head(states[asked]).float()
    return nn.functional.cross_entropy(logits, labels[asked], label_smoothing=smoothing, reduction=reduction)


@torch.inference_mode()
def perplexity(model: FastVlmForConditionalGeneration, tokenizer: Any, maps: FeatureFile, captions: Captions) -> float:
    """Return the perplexity of a trained captioner a word piece."""
    total, count = 0.0, 0
    for batch in _batches(sorted(captions), 50):
        texts = [encode(tokenizer, captions[name]) for name in batch]
        total += caption_loss(model, _maps(maps, batch), texts, reduction="sum").item()
        count += sum(int((labels != NOT_ASKED).sum()) for rows in texts for _, labels in rows)
    return float(torch.tensor(total / count).exp())


def _batches(names: Sequence[str], size: int, shuffled: bool = False) -> Iterator[list[str]]:
    order = torch.randperm(len(names)).tolist() if shuffled else range(len(names))
    for start in range(0, len(names), size):
        yield [names[index] for index in order[start : start + size]]


def _maps(maps: FeatureFile, names: Sequence[str]) -> Tensor:
    # The first token is the mean of the others.
    return torch.stack([maps[name][1:] for name in names]).float()


@torch.no_grad()
def _take_in(linear: nn.Linear, mean: Tensor, deviation: Tensor) -> None:
    """Let a layer that was trained on standardised input take it as it is."""
    linear.weight /= deviation
    linear.bias -= linear.weight @ mean


def save_captioner(
    folder: Path, model: FastVlmForConditionalGeneration, processor: LlavaProcessor, report: Mapping[str, Any]
) -> None:
    """Save a checkpoint for `leccr describe --model`, with its prompt set and a report, whole or not at all."""
    with atomic_folder(folder) as part:
        model.save_pretrained(part)
        processor.save_pretrained(part)
        prompts = {"max_new_tokens": 48, "questions": QUESTIONS}
        (part / PROMPTS_FILE).write_text(yaml.safe_dump(prompts, sort_keys=False), encoding="utf-8")
        (part / REPORT_FILE).write_text(json.dumps(report) + "\n", encoding="utf-8")
