"""A small translator trained on Multi30K's captions, for `leccr translate DATA --to de --model FOLDER`.

    python -m benchmarks.translator --shared ../shared --cache benchmarks/cache

A Marian model of 2 + 2 layers, trained from scratch on the 28,000 English captions of task 1 and their translations by
people. It knows captions and nothing else. A run that is stopped resumes from its last epoch when it is started again.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    DataCollatorForSeq2Seq,
    GenerationConfig,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint

from leccr.data.options import TranslateOptions
from processing.generation.answers import Decoding
from processing.generation.translators import LocalTranslator
from processing.readers.multi30k import read_multi30k_captions
from processing.writing import atomic_folder

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "translator.json"
SOURCE = "en"
LONGEST = 64

Pair = tuple[str, str]
"""A sentence and its translation."""


def build_translator(
    folder: Path, pairs: Sequence[Pair], target: str, width: int = 128, layers: int = 2, vocabulary: int = 4000
) -> tuple[MarianMTModel, MarianTokenizer]:
    """Return an untrained translator with one vocabulary for both languages, learned from the pairs.

    Args:
        folder: Where the tokenizer's files go.
        pairs: Sentences in English and in `target`.
        target: Language to translate into.
        width: Width of the network.
        layers: Layers of the encoder, and of the decoder.
        vocabulary: Largest number of pieces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _learn_pieces(folder / "source.spm", (text for pair in pairs for text in pair), vocabulary)
    shutil.copyfile(folder / "source.spm", folder / "target.spm")
    names = ["</s>", "<unk>", *pieces, "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}), encoding="utf-8")
    tokenizer = MarianTokenizer.from_pretrained(folder, source_lang=SOURCE, target_lang=target)
    tokenizer.save_pretrained(folder)
    # Marian begins with the padding token, which it must not say.
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    config = MarianConfig(
        vocab_size=len(names),
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * width,
        decoder_ffn_dim=2 * width,
        max_position_embeddings=512,
        scale_embedding=True,
        forced_eos_token_id=None,
        **special,
    )
    model = MarianMTModel(config)
    model.generation_config = GenerationConfig(bad_words_ids=[[tokenizer.pad_token_id]], **special)
    return model, tokenizer


def _learn_pieces(path: Path, texts: Iterable[str], vocabulary: int) -> list[str]:
    with path.open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=stream,
            vocab_size=vocabulary,
            hard_vocab_limit=False,
            character_coverage=1.0,
            num_threads=1,
            minloglevel=2,
        )
    learned = sentencepiece.SentencePieceProcessor(str(path))
    return [learned.id_to_piece(number) for number in range(3, learned.get_piece_size())]


def train_translator(
    model: MarianMTModel,
    tokenizer: MarianTokenizer,
    pairs: Sequence[Pair],
    checkpoints: Path,
    epochs: int,
    seed: int,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
) -> None:
    """Train by stock `Trainer`; resumes from the last of `checkpoints` if there is one."""
    sources, targets = zip(*pairs)
    encoded = tokenizer(list(sources), text_target=list(targets), truncation=True, max_length=LONGEST)
    names = ("input_ids", "attention_mask", "labels")
    rows: list[dict[str, Any]] = [dict(zip(names, row)) for row in zip(*(encoded[name] for name in names))]
    # With sentences as short as these, the fused attention is the slower one on a CPU.
    model.set_attn_implementation("eager")
    steps = epochs * -(-len(rows) // batch_size)
    trainer = Trainer(
        model,
        TrainingArguments(
            str(checkpoints),
            num_train_epochs=epochs,
            per_device_train_batch_size=batch_size,
            train_sampling_strategy="group_by_length",
            learning_rate=learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=min(400, steps // 10),
            adam_beta2=0.98,
            # Half precision where the arithmetic is: twice as fast on processors that have it.
            bf16=True,
            use_cpu=True,
            seed=seed,
            logging_steps=100,
            save_strategy="epoch",
            save_total_limit=1,
            report_to="none",
        ),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model),
        compute_loss_func=_smoothed_loss,
        train_dataset=rows,
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(checkpoints) if checkpoints.is_dir() else None)


def _smoothed_loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
    # Trainer's own label smoothing makes four more copies of the logits, which are most of the memory.
    return functional.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)


def read_pairs(root: Path, target: str) -> dict[str, list[Pair]]:
    """Return the pairs of each split."""
    splits = read_multi30k_captions(root, task=1, languages=[target]).splits
    return {
        split: [
            (entry.sources[caption.number], caption.text)
            for entry in captions.values()
            for caption in entry.targets
            if caption.number in entry.sources
        ]
        for split, captions in splits.items()
    }


def score(folder: Path, pairs: Sequence[Pair], target: str) -> tuple[dict[str, float], list[str]]:
    """Return BLEU and chrF of the translations by `leccr translate`'s model class, and the translations."""
    from sacrebleu import corpus_bleu, corpus_chrf

    translator = LocalTranslator(
        str(folder), device="cpu", batch_size=TranslateOptions.batch_size, beams=TranslateOptions.beams
    )
    translator.check(SOURCE, target)
    texts = []
    for start in range(0, len(pairs), 64):
        sources = [source for source, _ in pairs[start : start + 64]]
        texts += [answer.text for answer in translator.translate(sources, SOURCE, target, Decoding(128))]
    references = [[translation for _, translation in pairs]]
    return {
        "bleu": round(corpus_bleu(texts, references).score, 1),
        "chrf": round(corpus_chrf(texts, references).score, 1),
    }, texts


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, default=HERE / "cache")
    parser.add_argument("--target", default="de", help="language to translate into: de, fr or cs")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(given)
    folder = arguments.cache / f"translator-{SOURCE}-{arguments.target}"
    if folder.exists():
        return print(f"{folder} exists already; remove it to train again.")
    pairs = read_pairs(arguments.shared / "data" / "multi30k", arguments.target)
    torch.manual_seed(arguments.seed)
    with atomic_folder(folder) as part:
        model, tokenizer = build_translator(part, pairs["train"], arguments.target)
        started = time.process_time()
        train_translator(model, tokenizer, pairs["train"], part / "checkpoints", arguments.epochs, arguments.seed)
        seconds = round(time.process_time() - started)
        shutil.rmtree(part / "checkpoints")
        model.save_pretrained(part)
        scores, texts = score(part, pairs["validation"], arguments.target)
    for (source, reference), text in list(zip(pairs["validation"], texts))[:8]:
        print(f"{source}\n    {text}\n    (by people: {reference})")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results[folder.name] = {"pairs": len(pairs["train"]), "cpu_seconds": seconds, "validation": scores}
    print(json.dumps(results[folder.name]))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"The translator is in {folder}.")


if __name__ == "__main__":
    main()
