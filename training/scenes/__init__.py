"""The rendered picture corpus: scenes composed of objects, colours, counts, sizes, relations and settings,
each with five natural captions. Needs Pillow and NumPy only."""

from training.scenes.captions import captions
from training.scenes.content import Group, Relation, Scene, draw_scene
from training.scenes.corpus import CorpusError, CorpusSummary, render_corpus
from training.scenes.painting import paint, render_scene

__all__ = [
    "CorpusError",
    "CorpusSummary",
    "Group",
    "Relation",
    "Scene",
    "captions",
    "draw_scene",
    "paint",
    "render_corpus",
    "render_scene",
]
