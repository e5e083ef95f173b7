"""Makes model bundles: corpora, towers, objectives, the loop, evaluation, export. Alone may import torch."""
