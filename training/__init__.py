"""Makes model bundles: corpora, towers, objectives, the loop, evaluation and export. Alone may import torch."""
