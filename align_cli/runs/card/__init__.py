"""The model card: made from what was decided and counted, so that it cannot disagree."""
