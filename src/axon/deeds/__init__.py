"""Who changed what has power or configuration: written with the change, then journaled."""

from axon.deeds.actor import Actor, acting, actor_text
from axon.deeds.journaling import DeedsJournaling
from axon.deeds.projector import DeedsProjector
from axon.deeds.store import Deed, note_deed, read_deeds

__all__ = [
    "Actor",
    "Deed",
    "DeedsJournaling",
    "DeedsProjector",
    "acting",
    "actor_text",
    "note_deed",
    "read_deeds",
]
