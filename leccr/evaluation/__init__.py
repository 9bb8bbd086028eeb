"""Measuring a trained model: ranks, metrics, tables and plots."""

from .evaluate import evaluate_retrieval, evaluate_sentences

__all__ = ["evaluate_retrieval", "evaluate_sentences"]
