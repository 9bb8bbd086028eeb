"""Generative models of real architectures, tiny and with random weights, saved as a checkpoint is."""

import json
from pathlib import Path

import sentencepiece
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

WORDS = ["a", "the", "dog", "cat", "man", "tree", "red", "blue", "runs", "sits", "near", "under", "small", "two"]
SENTENCES = [f"{first} {second} {third}" for first in WORDS for second in WORDS for third in WORDS[:5]]
TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
)


def _make_talkative(model: PreTrainedModel, words: range, end: int) -> None:
    """Draw weights that give varied texts, and let a third of all words end them.

    Only words can be said. The weights are drawn here because versions of transformers draw them differently.
    """
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 or name.endswith("embedding"):
            torch.nn.init.normal_(parameter, std=0.6)
    model.generation_config.eos_token_id = sorted({end, *words[::3]})
    others = set(range(model.get_output_embeddings().weight.shape[0])) - {end, *words}
    model.generation_config.bad_words_ids = [[number] for number in sorted(others)]


def build_llava(folder: Path) -> Path:
    """Save a LLaVA whose answers are words of `WORDS`."""
    names = ["<pad>", "<s>", "</s>", "<unk>", "<image>", *WORDS]
    raw = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        ),
        text_config=LlamaConfig(
            vocab_size=len(names),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        ),
        image_token_index=4,
    )
    model = LlavaForConditionalGeneration(config)
    _make_talkative(model, range(5, len(names)), 2)
    model.save_pretrained(folder)
    return folder


def _train_pieces(path: Path) -> list[str]:
    """Train a SentencePiece model, save it, and return its pieces."""
    with path.open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES),
            model_writer=stream,
            vocab_size=40,
            hard_vocab_limit=False,
            minloglevel=2,
        )
    trained = sentencepiece.SentencePieceProcessor(str(path))
    return [trained.id_to_piece(number) for number in range(3, trained.get_piece_size())]


def build_marian(folder: Path, codes: tuple[str, ...] = (), source: str = "en", target: str = "de") -> Path:
    """Save a Marian model for one pair, or with several targets, whose codes are given."""
    folder.mkdir(parents=True)
    pieces = _train_pieces(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    names = ["</s>", "<unk>", *pieces, *(f">>{code}<<" for code in codes), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}))
    MarianTokenizer.from_pretrained(folder, source_lang=source, target_lang=target).save_pretrained(folder)
    pad = len(names) - 1
    config = MarianConfig(
        vocab_size=len(names),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        pad_token_id=pad,
        decoder_start_token_id=pad,
        eos_token_id=0,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config)
    _make_talkative(model, range(2, 2 + len(pieces)), 0)
    model.save_pretrained(folder)
    return folder


def _save_m2m100(folder: Path, vocabulary: int, words: int) -> None:
    config = M2M100Config(
        vocab_size=vocabulary,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
    )
    model = M2M100ForConditionalGeneration(config)
    _make_talkative(model, range(4, words), 2)
    model.save_pretrained(folder)


def build_m2m100(folder: Path) -> Path:
    """Save an M2M-100."""
    folder.mkdir(parents=True)
    names = ["<s>", "<pad>", "</s>", "<unk>", *_train_pieces(folder / "pieces.model")]
    (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}))
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "pieces.model"))
    tokenizer.save_pretrained(folder)
    _save_m2m100(folder, len(names) + len(tokenizer.lang_token_to_id) + 8, len(names))
    return folder


def build_nllb(folder: Path) -> Path:
    """Save an NLLB-200: the network of M2M-100 with another tokenizer."""
    letters = sorted({letter for word in WORDS for letter in word} | {"▁"})
    names = ["<s>", "<pad>", "</s>", "<unk>", *letters]
    tokenizer = NllbTokenizer(vocab={name: index for index, name in enumerate(names)}, merges=[])
    tokenizer.save_pretrained(folder)
    _save_m2m100(folder, len(tokenizer), len(names))
    return folder


def build_madlad(folder: Path, codes: tuple[str, ...] = ("en", "de", "iw")) -> Path:
    """Save a MADLAD-400: a T5 whose vocabulary has tokens such as `<2de>`."""
    names = ["<pad>", "</s>", "<unk>", *WORDS, *(f"<2{code}>" for code in codes)]
    raw = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    config = T5Config(
        vocab_size=len(names),
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    _make_talkative(model, range(3, 3 + len(WORDS)), 1)
    model.save_pretrained(folder)
    return folder
