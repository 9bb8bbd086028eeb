"""Checkpoints of every family of dual encoders: random weights, and tokenizers of the families' real classes."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import sentencepiece
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    AltCLIPProcessor,
    BertConfig,
    BertModel,
    BertTokenizer,
    ChineseCLIPConfig,
    ChineseCLIPImageProcessorPil,
    ChineseCLIPModel,
    ChineseCLIPProcessor,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
    GemmaTokenizer,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedModel,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Processor,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
    SiglipTokenizer,
    VisionTextDualEncoderProcessor,
    ViTConfig,
    ViTModel,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

from tests.modeling_leccr.tiny import PICTURE_SIZE, TRANSFORMER
from tests.modeling_leccr.tiny_dual_encoders import LENGTH, SPACE, two_models

CORPUS = [
    "Ein brauner Hund läuft am Strand entlang.",
    "ein brauner hund läuft am strand entlang",
    "A Brown Dog runs along the Beach!",
    "a brown dog runs along the beach",
    "Über den Dächern, à la carte, Žluťoučký kůň",
    "über den dächern, à la carte, žluťoučký kůň",
    "一只狗在沙滩上奔跑。两个孩子在雪地里玩耍。",
]
QUERIES = [
    "Ein Brauner Hund am Strand",
    "Über den Dächern: žluťoučký kůň, à la carte",
    "一只狗在沙滩上奔跑。",
    "a brown dog runs along the beach " * 20,
]
"""Capitalised, accented, Chinese, and longer than any tiny model reads."""
FAMILIES = (
    "clip",
    "metaclip 2",
    "altclip",
    "siglip",
    "siglip 2",
    "siglip 2 naflex",
    "chinese clip",
    "clip and xlm-r",
    "vit and bert",
)
PICTURES = [
    Image.fromarray(np.random.default_rng(seed).integers(256, size=(*size, 3), dtype=np.uint8))
    for seed, size in enumerate([(40, 60), (32, 32), (80, 50)])
]
VISION = TRANSFORMER | {"image_size": PICTURE_SIZE, "patch_size": 8}
PADDED = {"padding": "max_length", "truncation": True, "max_length": LENGTH}


def save_family(family: str, folder: Path) -> Path:
    """Write a checkpoint as the family's are on the Hub: weights, tokenizer and image processor."""
    folder.mkdir(exist_ok=True)
    tokenizer = _tokenizer(family, folder)
    build(family, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    image_processor(family).save_pretrained(folder)
    return folder


def save_text_tower(folder: Path) -> Path:
    """Write a text tower of sentence-transformers for CLIP's pictures, as M-CLIP has: BERT, and a projection."""
    tokenizer = bert_tokenizer(lower_case=True)
    torch.manual_seed(1)
    config = BertConfig(**TRANSFORMER, vocab_size=len(tokenizer), max_position_embeddings=LENGTH)
    with TemporaryDirectory() as parts:
        tokenizer.save_pretrained(parts)
        BertModel(config).save_pretrained(parts)
        tower = Transformer(parts)
        width = TRANSFORMER["hidden_size"]
        modules = [tower, Pooling(width), Dense(width, SPACE)]
        SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def build(family: str, vocabulary: int) -> PreTrainedModel:
    """Return a model with random weights that all differ, in eval mode."""
    torch.manual_seed(0)
    model = _build(family, TRANSFORMER | {"vocab_size": vocabulary, "max_position_embeddings": LENGTH})
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.eval()


def _build(family: str, text: dict[str, Any]) -> PreTrainedModel:
    both: dict[str, Any] = {"vision_config": VISION, "projection_dim": SPACE}
    # Positions of RoBERTa are counted from behind the padding token.
    shifted = text | {"max_position_embeddings": LENGTH + 2, "pad_token_id": 1}
    siglip = text | {"projection_size": TRANSFORMER["hidden_size"]}
    match family:
        case "clip":
            return CLIPModel(CLIPConfig(text_config=text | {"eos_token_id": 3}, **both))
        case "metaclip 2":
            return MetaClip2Model(MetaClip2Config(text_config=text | {"eos_token_id": 2}, **both))
        case "altclip":
            return AltCLIPModel(AltCLIPConfig(text_config=shifted | {"project_dim": 24}, **both))
        case "chinese clip":
            return ChineseCLIPModel(ChineseCLIPConfig(text_config=text, **both))
        case "siglip" | "siglip 2":
            return SiglipModel(SiglipConfig(text_config=siglip, vision_config=VISION))
        case "siglip 2 naflex":
            vision = TRANSFORMER | {"num_patches": 16, "patch_size": 8}
            return Siglip2Model(Siglip2Config(text_config=siglip, vision_config=vision))
        case "clip and xlm-r":
            towers = CLIPVisionModel(CLIPVisionConfig(**VISION)), XLMRobertaModel(XLMRobertaConfig(**shifted))
            return two_models(*towers)
        case "vit and bert":
            return two_models(ViTModel(ViTConfig(**VISION)), BertModel(BertConfig(**text)))
    raise ValueError(family)


def image_processor(family: str) -> Any:
    """Return the family's image processor, for tiny pictures."""
    size = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    match family:
        case "siglip" | "siglip 2":
            return SiglipImageProcessorPil(size=size)
        case "siglip 2 naflex":
            return Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
        case "chinese clip":
            return ChineseCLIPImageProcessorPil(size=size, crop_size=size)
    return CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=size)


def own_processor(family: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return the family's own processor, and how it is asked for texts as the family was trained."""
    images = image_processor(family)
    match family:
        case "siglip":
            return SiglipProcessor(images, SiglipTokenizer.from_pretrained(folder)), PADDED
        case "siglip 2":
            return SiglipProcessor(images, Siglip2Tokenizer.from_pretrained(folder)), PADDED
        case "siglip 2 naflex":
            return Siglip2Processor(images, Siglip2Tokenizer.from_pretrained(folder)), PADDED
    processor_class, tokenizer_class = {
        "clip": (CLIPProcessor, CLIPTokenizer),
        "metaclip 2": (CLIPProcessor, XLMRobertaTokenizer),
        "altclip": (AltCLIPProcessor, XLMRobertaTokenizer),
        "chinese clip": (ChineseCLIPProcessor, BertTokenizer),
        "clip and xlm-r": (VisionTextDualEncoderProcessor, XLMRobertaTokenizer),
        "vit and bert": (VisionTextDualEncoderProcessor, BertTokenizer),
    }[family]
    tokenizer = tokenizer_class.from_pretrained(folder)
    return processor_class(images, tokenizer), {"padding": True, "truncation": True}


def _tokenizer(family: str, folder: Path) -> Any:
    match family:
        case "clip":
            return _clip()
        case "siglip":
            return _siglip(folder)
        case "siglip 2" | "siglip 2 naflex":
            return _gemma()
        case "chinese clip" | "vit and bert":
            return bert_tokenizer(lower_case=family == "chinese clip")
    return _xlm_roberta()


def _clip() -> CLIPTokenizer:
    end = "<|endoftext|>"
    own = CLIPTokenizer().backend_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces, merges = _pairs(
        models.BPE(end_of_word_suffix="</w>"),
        own,
        special_tokens=["<|startoftext|>", "!", "!</w>", end, *(letter + "</w>" for letter in letters)],
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
    )
    return CLIPTokenizer(vocab=pieces, merges=merges, model_max_length=LENGTH)


def _gemma() -> GemmaTokenizer:
    """Return what SigLIP 2's checkpoints name: a tokenizer that leaves the case, and gives no mask."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{number:02X}>" for number in range(256))]
    pieces, merges = _pairs(models.BPE(byte_fallback=True), GemmaTokenizer().backend_tokenizer, special_tokens=special)
    return GemmaTokenizer(
        vocab=pieces,
        merges=merges,
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        model_input_names=["input_ids"],
    )


def _pairs(model: Any, own: Tokenizer, **options: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the vocabulary and the merges of byte-pair encoding, learned from the corpus."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = own.normalizer, own.pre_tokenizer
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, show_progress=False, **options))
    state = json.loads(tokenizer.to_str())["model"]
    return state["vocab"], [tuple(merge) for merge in state["merges"]]


def _xlm_roberta() -> XLMRobertaTokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = XLMRobertaTokenizer().backend_tokenizer.pre_tokenizer
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    pieces = [tuple(piece) for piece in json.loads(tokenizer.to_str())["model"]["vocab"]]
    return XLMRobertaTokenizer(vocab=pieces, model_max_length=LENGTH)


def bert_tokenizer(lower_case: bool) -> BertTokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    own = BertTokenizer(do_lower_case=lower_case).backend_tokenizer
    tokenizer.normalizer, tokenizer.pre_tokenizer = own.normalizer, own.pre_tokenizer
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    return BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=lower_case, model_max_length=LENGTH)


def _siglip(folder: Path) -> SiglipTokenizer:
    """Return SigLIP's tokenizer, whose checkpoints let it give no mask."""
    with (folder / "spiece.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([text.lower() for text in CORPUS]),
            model_writer=file,
            vocab_size=150,
            hard_vocab_limit=False,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
        )
    return SiglipTokenizer(str(folder / "spiece.model"), model_max_length=LENGTH, model_input_names=["input_ids"])
