"""AlpacaEval: one answer a model to each of 805 instructions, compared with a reference model's (arXiv 2404.04475)."""
